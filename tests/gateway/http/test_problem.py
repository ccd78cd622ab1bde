"""Bad input over HTTP: each kind has its status, its reason and a sentence; none is a 500."""

import asyncio
import base64
import hashlib
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from google.rpc import error_details_pb2

from assay.errors import ModelUnavailable
from tests.gateway.http.serving import http_client
from tests.media.build import media
from tests.scripted_generator import ScriptedGenerator

pytestmark = pytest.mark.asyncio(loop_scope="session")
PHOTO, VIDEO = media("jpeg.jpg").read_bytes(), media("mp4_faststart.mp4").read_bytes()
IMAGES, VIDEOS, UPLOADS = "/v1/images:score", "/v1/videos:score", "/v1/uploads"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(pool):
    limits = {"max_image_bytes": len(PHOTO), "max_video_bytes": len(VIDEO)}
    async with http_client(pool, limits=limits, http_origins=["https://ops.example"]) as opened:
        yield opened


async def call(client, method, **request):
    return await client.post(f"/assay.v1.UploadService/{method}", json=request)


async def begun(client, **request):
    return (await call(client, "CreateUpload", **request)).json()["upload"]["uploadId"]


def reported(answer):
    """Status and reason, where there is a sentence for people as well."""
    members = answer.json()
    assert len(members.get("detail") or members["message"]) > 10
    return answer.status_code, members.get("title") or reason_of(members)


def reason_of(connect_error):
    (value,) = [each["value"] for each in connect_error["details"] if each["type"] == "google.rpc.ErrorInfo"]
    return error_details_pb2.ErrorInfo.FromString(base64.b64decode(value + "==")).reason


@pytest.mark.parametrize(
    ("path", "content", "headers", "status", "title"),
    [
        (IMAGES, b"no picture", {}, 400, "BAD_MEDIA"),
        (VIDEOS, b"no video", {}, 400, "BAD_MEDIA"),
        (IMAGES, b"", {}, 400, "BAD_MEDIA"),
        (VIDEOS, b"", {}, 400, "BAD_MEDIA"),
        (IMAGES, PHOTO[: len(PHOTO) // 2], {}, 400, "BAD_MEDIA"),
        (VIDEOS, VIDEO[:500], {}, 400, "BAD_MEDIA"),
        (IMAGES, PHOTO + b"more", {}, 413, "OVER_LIMIT"),
        (VIDEOS, VIDEO + b"more", {}, 413, "OVER_LIMIT"),
        (IMAGES, PHOTO, {"content-type": "text/plain"}, 415, "WRONG_TYPE"),
        (VIDEOS, PHOTO, {"content-type": "image/jpeg"}, 415, "WRONG_TYPE"),
        (f"{IMAGES}?form=poem", PHOTO, {}, 400, "INVALID_REQUEST"),
        (f"{VIDEOS}?attributes=beauty", VIDEO, {}, 400, "INVALID_REQUEST"),
        ("/v1/uris:score", b"nope", {}, 400, "INVALID_REQUEST"),
        ("/v1/uris:score", b"\xff\xfe", {}, 400, "INVALID_REQUEST"),
        ("/v1/uris:score", b"https://example.com/a.jpg", {}, 403, "URI_REFUSED"),
        ("/v1/nothing", b"", {}, 404, "NO_SUCH_PATH"),
        ("/v1/models", b"", {}, 405, "NO_SUCH_PATH"),
        (IMAGES, PHOTO, {"host": "evil.example"}, 421, "WRONG_HOST"),
        (IMAGES, PHOTO, {"origin": "https://evil.example"}, 403, "FOREIGN_ORIGIN"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
async def test_what_is_wrong_has_the_status_and_the_sentence_of_its_kind(client, path, content, headers, status, title):
    answer = await client.post(path, content=content, headers=headers)
    assert (answer.headers["content-type"], reported(answer)) == ("application/problem+json", (status, title))


async def test_a_body_that_is_declared_too_large_is_refused_before_it_comes(client):
    host, port = client.base_url.host, client.base_url.port
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"POST {IMAGES} HTTP/1.1\r\nhost: {host}:{port}\r\ncontent-length: {1 << 40}\r\n\r\n".encode())
    assert b" 413 " in await reader.readline()
    writer.close()


async def test_a_page_of_a_named_origin_may_ask(client):
    asked = {"origin": "https://ops.example", "access-control-request-method": "POST"}
    answer = await client.options(IMAGES, headers=asked)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://ops.example")


def digest(data):
    return {"repr-digest": f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"}


@pytest.mark.parametrize(
    ("query", "content", "headers", "status", "title"),
    [
        ("offset=7", PHOTO, {}, 409, "UPLOAD_CONFLICT"),
        ("offset=0", PHOTO, digest(b"other"), 409, "UPLOAD_CONFLICT"),
        ("offset=0", PHOTO, {"repr-digest": "md5=:x:"}, 400, "INVALID_REQUEST"),
        ("offset=0", PHOTO, {"repr-digest": "sha-256=:x:"}, 400, "INVALID_REQUEST"),
        ("offset=-1", PHOTO, {}, 400, "INVALID_REQUEST"),
        ("", PHOTO, {}, 400, "INVALID_REQUEST"),
        ("offset=0", PHOTO + b"more", {}, 413, "OVER_LIMIT"),
    ],
    ids=["gap", "checksum", "algorithm", "no base64", "negative", "no offset", "too long"],
)
async def test_a_wrong_slice_is_refused_and_changes_nothing(client, query, content, headers, status, title):
    upload = await begun(client, sizeBytes=len(PHOTO) + 2)
    answer = await client.put(f"{UPLOADS}/{upload}?{query}", content=content, headers=headers)
    assert reported(answer) == (status, title)
    received = int((await client.get(f"{UPLOADS}/{upload}")).json().get("received_bytes", 0))
    assert received <= len(PHOTO)
    await call(client, "DeleteUpload", uploadId=upload)


@pytest.mark.parametrize("method", ["GetUpload", "FinishUpload", "DeleteUpload"])
async def test_an_unknown_upload_is_not_found(client, method):
    assert reported(await call(client, method, uploadId="none")) == (404, "UPLOAD_NOT_FOUND")


async def test_slices_of_an_unknown_upload_are_not_found(client):
    answers = [await client.put(f"{UPLOADS}/none?offset=0", content=PHOTO), await client.get(f"{UPLOADS}/none")]
    assert [reported(each) for each in answers] == [(404, "UPLOAD_NOT_FOUND")] * 2


async def test_an_upload_that_is_too_large_is_refused_before_its_first_slice(client):
    assert reported(await call(client, "CreateUpload", sizeBytes=len(VIDEO) + 1)) == (413, "OVER_LIMIT")


async def test_finishing_what_is_not_complete_is_refused(client):
    upload = await begun(client, sizeBytes=10)
    assert reported(await call(client, "FinishUpload", uploadId=upload)) == (409, "UPLOAD_CONFLICT")


async def test_an_upload_is_forgotten_after_its_life(pool):
    async with http_client(pool, http_upload_life_seconds=0.05) as client:
        upload = await begun(client)
        await asyncio.sleep(0.1)
        assert (await client.get(f"{UPLOADS}/{upload}")).status_code == 404


async def test_a_video_past_its_budget_has_a_partial_result_that_says_so(pool):
    settings = {"video": {"window_seconds": 0.5, "max_windows": 1}}
    async with http_client(pool, **settings) as client:
        answer = await client.post(VIDEOS, content=VIDEO)
    assert (answer.status_code, answer.json()["partial"]["budget"]) == (200, "max_windows")


async def test_a_full_spool_is_507(pool):
    async with http_client(pool, http_spool_bytes=5000) as client:
        upload = await begun(client)
        slices = await client.put(f"{UPLOADS}/{upload}?offset=0", content=PHOTO)
        assert reported(slices) == (507, "SPOOL_FULL")
        assert reported(await call(client, "CreateUpload", sizeBytes=5001)) == (507, "SPOOL_FULL")


async def test_a_server_with_too_many_uploads_says_when_to_come_again(pool):
    async with http_client(pool, http_max_uploads=1) as client:
        await begun(client)
        answer = await call(client, "CreateUpload")
    assert (reported(answer), answer.headers["retry-after"]) == ((503, "BUSY"), "1")


async def test_a_busy_server_says_when_to_come_again(pool):
    async with http_client(pool, max_unfinished_uploads_per_peer=1) as client, unfinished(client, VIDEOS, VIDEO):
        answer = await client.post(IMAGES, content=PHOTO)
    assert (reported(answer), answer.headers["retry-after"]) == ((503, "BUSY"), "1")


async def test_a_quota_that_is_used_up_is_429_and_says_when_to_come_again(pool):
    async with http_client(pool, quotas={"in_flight": 1}) as client, unfinished(client, VIDEOS, VIDEO):
        answer = await client.post(IMAGES, content=PHOTO)
    assert (reported(answer), answer.headers["retry-after"]) == ((429, "QUOTA"), "1")


async def test_a_model_that_is_down_is_503(pool):
    model = ScriptedGenerator(failures={"start": ModelUnavailable("the model is down; try again in a moment")})
    async with http_client(pool, model) as client:
        assert reported(await client.post(IMAGES, content=PHOTO)) == (503, "MODEL_UNAVAILABLE")


@asynccontextmanager
async def unfinished(client, path, content, method="POST"):
    """A connection whose body lacks its last byte."""
    host, port = client.base_url.host, client.base_url.port
    reader, writer = await asyncio.open_connection(host, port)
    head = f"{method} {path} HTTP/1.1\r\nhost: {host}:{port}\r\naccept: text/event-stream\r\n"
    writer.write(f"{head}content-length: {len(content) + 1}\r\n\r\n".encode() + content)
    if path == VIDEOS:
        await reader.readuntil(b"event: started")
    yield reader
    writer.close()


async def test_a_body_that_stalls_is_408(pool):
    async with (
        http_client(pool, upload={"idle_seconds": 0.2}) as client,
        unfinished(client, IMAGES, PHOTO[:100]) as reader,
    ):
        assert b" 408 " in await reader.readline()


async def test_a_slice_that_dribbles_is_408_and_stands_as_far_as_it_came(pool):
    slow = {"grace_seconds": 0.2, "min_bytes_per_second": 1e6}
    async with http_client(pool, upload=slow) as client:
        upload = await begun(client, sizeBytes=len(PHOTO))
        async with unfinished(client, f"{UPLOADS}/{upload}?offset=0", PHOTO[:100], "PUT") as reader:
            assert b" 408 " in await reader.readline()
        assert (await client.get(f"{UPLOADS}/{upload}")).json()["received_bytes"] == "100"
