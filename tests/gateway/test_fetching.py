"""A URI in place of bytes: client, gateway, fetch service and a web server, all over sockets."""

from contextlib import asynccontextmanager

import pytest

from assay.client import AsyncClient
from assay.errors import BadMedia, InvalidRequest, OverLimit, ServiceUnavailable, UriRefused
from assay.v1 import assay_pb2
from tests.gateway.serving import NOWHERE, events, gateway
from tests.media.build import media
from tests.scripted_generator import ScriptedGenerator
from tests.services.test_fetch import fetch_address
from tests.web_server import plain, web_server

pytestmark = pytest.mark.asyncio(loop_scope="session")
FILES = ("jpeg.jpg", "mp4_faststart.mp4", "mp4_moov_at_end.mp4", "random_bytes.jpg")


@asynccontextmanager
async def reachable(pool, folder, **settings):
    """A gateway whose fetch service may ask a server that has the files, and the server."""
    answers = {f"/{name}": plain(media(name).read_bytes()) for name in FILES}
    model = ScriptedGenerator()
    async with (
        web_server(folder, answers) as server,
        fetch_address(server) as fetch,
        gateway(pool, model, model, fetch=fetch, **settings) as caller,
    ):
        yield caller, server


async def judged(caller, uri):
    request = assay_pb2.ScoreUriRequest(uri=uri)
    return await events(lambda _: caller.stub.ScoreUri(request), [])


@pytest.mark.parametrize(("name", "kind"), [("jpeg.jpg", 1), ("mp4_faststart.mp4", 2), ("mp4_moov_at_end.mp4", 2)])
async def test_what_a_uri_leads_to_is_judged_as_if_it_had_been_uploaded(pool, tmp_path, name, kind):
    async with reachable(pool, tmp_path) as (caller, server):
        fetched = (await judged(caller, server.uri(f"/{name}")))[-1].result
        uploaded = (await (caller.image if kind == 1 else caller.video)(name))[-1].result
    for result in (fetched, uploaded):
        result.ClearField("usage")  # in it are seconds
    assert fetched.media.kind == kind
    assert fetched == uploaded


async def test_the_sdk_takes_a_uri_where_it_takes_a_path(pool, tmp_path):
    async with reachable(pool, tmp_path) as (caller, server), AsyncClient(caller.address) as client:
        judgement = await client.score(server.uri("/jpeg.jpg"))
    assert judgement.media.container == "jpeg"


async def test_an_unknown_tenant_is_refused_before_anything_is_fetched(pool, tmp_path):
    request = assay_pb2.ScoreUriRequest(config={"tenant": "nobody"}, uri="https://evil.test/jpeg.jpg")
    async with reachable(pool, tmp_path) as (caller, _):
        with pytest.raises(InvalidRequest, match="no tenant 'nobody'"):
            await events(lambda _: caller.stub.ScoreUri(request), [])


async def test_what_is_no_media_is_refused_as_if_it_had_been_uploaded(pool, tmp_path):
    async with reachable(pool, tmp_path) as (caller, server):
        with pytest.raises(BadMedia):
            await judged(caller, server.uri("/random_bytes.jpg"))


async def test_a_refusal_of_the_fetch_service_reaches_the_client(pool, tmp_path):
    async with reachable(pool, tmp_path) as (caller, _):
        with pytest.raises(UriRefused, match="FETCH_ALLOWED_HOSTS"):
            await judged(caller, "https://evil.test/jpeg.jpg")


async def test_the_gateways_limit_holds_for_what_is_fetched(pool, tmp_path):
    async with reachable(pool, tmp_path, limits={"max_video_bytes": 100_000}) as (caller, server):
        with pytest.raises(OverLimit, match="100000 bytes"):
            await judged(caller, server.uri("/mp4_faststart.mp4"))


async def test_a_gateway_without_a_fetch_service_names_the_setting(pool):
    async with gateway(pool, ScriptedGenerator(), ScriptedGenerator()) as caller:
        with pytest.raises(UriRefused, match="GATEWAY_FETCH"):
            await judged(caller, "https://media.test/jpeg.jpg")


async def test_a_fetch_service_that_is_down_is_named(pool):
    async with gateway(pool, ScriptedGenerator(), ScriptedGenerator(), fetch=NOWHERE) as caller:
        with pytest.raises(ServiceUnavailable, match="the fetch service"):
            await judged(caller, "https://media.test/jpeg.jpg")
