"""REST: a file in the body, events or the result in the answer, errors with the status and sentence of the kind."""

import asyncio
import json

import pytest
from starlette.datastructures import QueryParams

from assay.errors import InvalidRequest
from assay.v1 import assay_pb2, score_pb2
from gateway.http.rest import config_of
from tests.gateway.http.serving import events_in, http_client
from tests.media.build import media

pytestmark = pytest.mark.asyncio(loop_scope="session")
PHOTO, VIDEO = media("jpeg.jpg").read_bytes(), media("mp4_faststart.mp4").read_bytes()
STREAM = {"accept": "text/event-stream"}


async def test_a_photo_in_the_body_is_answered_with_its_result(pool):
    async with http_client(pool) as client:
        answer = await client.post("/v1/images:score", content=PHOTO)
    assert (answer.status_code, answer.json()["score"]["value"]) == (200, pytest.approx((3.72 + 5.04) / 2))


async def test_a_body_as_curl_sends_it_is_scored(pool):
    async with http_client(pool) as client:
        answer = await client.post(
            "/v1/images:score", content=PHOTO, headers={"content-type": "application/x-www-form-urlencoded"}
        )
    assert answer.status_code == 200


async def test_events_come_in_order_when_a_stream_is_asked_for(pool):
    async with http_client(pool) as client:
        answer = await client.post("/v1/videos:score", content=VIDEO, headers=STREAM)
    kinds = [kind for kind, _ in events_in(answer.text)]
    assert (kinds[0], kinds[-1], "window" in kinds) == ("started", "result", True)


async def test_parameters_are_those_of_the_contract(pool):
    config = json.dumps({"attributes": ["clarity"]})
    async with http_client(pool) as client:
        answer = await client.post("/v1/images:score", params={"form": "regular", "config": config}, content=PHOTO)
    assert [each["name"] for each in answer.json()["attributes"]] == ["ATTRIBUTE_NAME_CLARITY"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("form=poem", "form"),
        ("attributes=beauty", "attributes[0]"),
        ("colour=red", "colour"),
        ("config={", "config"),
        ("config=[1]", "config"),
        ('config={"nothing":1}', "config"),
        ("tenant=" + "x" * 100, "tenant"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_a_wrong_parameter_is_named(pool, query, field):
    async with http_client(pool) as client:
        answer = await client.post(f"/v1/images:score?{query}", content=PHOTO)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


async def test_a_client_that_leaves_gives_its_place_back(pool):
    async with http_client(pool, max_unfinished_uploads_per_peer=1) as client:
        _, writer = await unfinished(client, "/v1/videos:score", VIDEO)
        writer.close()
        async with asyncio.timeout(10):
            while (await client.post("/v1/images:score", content=PHOTO)).status_code != 200:
                pass


async def unfinished(client, path, content):
    """A connection whose body has not ended, and of whose answer the first event has come."""
    host, port = client.base_url.host, client.base_url.port
    reader, writer = await asyncio.open_connection(host, port)
    head = f"POST {path} HTTP/1.1\r\nhost: {host}:{port}\r\naccept: text/event-stream\r\n"
    writer.write(f"{head}content-length: {len(content) + 1}\r\n\r\n".encode() + content)
    await reader.readuntil(b"event: started")
    return reader, writer


async def test_the_model_is_listed(pool):
    async with http_client(pool) as client:
        assert (await client.get("/v1/models")).json()["models"][0]["name"] == "test"


def of(text: str, *others: str) -> assay_pb2.ScoreConfig:
    return config_of(QueryParams(text), *others)


async def test_form_attributes_and_tenant_are_parameters_of_their_own():
    config = of("form=direct&attributes=clarity,exposure&tenant=acme")
    assert (config.form, [*config.attributes], config.tenant) == (
        score_pb2.ANSWER_FORM_DIRECT,
        ["clarity", "exposure"],
        "acme",
    )


async def test_a_parameter_goes_before_what_the_config_says():
    config = of('form=regular&config={"form":"ANSWER_FORM_DIRECT","tenant":"acme"}')
    assert (config.form, config.tenant) == (score_pb2.ANSWER_FORM_REGULAR, "acme")


@pytest.mark.parametrize(
    ("text", "field"),
    [("frm=direct", "frm"), ("form=poem", "form"), ("config={", "config"), ('config={"frm":1}', "config")],
)
async def test_what_is_unknown_or_unreadable_is_named(text, field):
    with pytest.raises(InvalidRequest) as wrong:
        of(text)
    assert wrong.value.field == field


async def test_a_path_may_know_parameters_of_its_own():
    assert of("uri=https%3A%2F%2Fhost%2Ffile", "uri") == assay_pb2.ScoreConfig()
