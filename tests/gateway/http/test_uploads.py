"""Uploads in slices: begun, broken off, gone on with, scored while they come, and told again."""

import asyncio
import base64
import hashlib
import json

import pytest

from tests.gateway.http.serving import http_client
from tests.media.build import media

pytestmark = pytest.mark.asyncio(loop_scope="session")
PHOTO, VIDEO = media("jpeg.jpg").read_bytes(), media("mp4_faststart.mp4").read_bytes()


async def call(client, method, **request):
    return await client.post(f"/assay.v1.UploadService/{method}", json=request)


async def begun(client, **request):
    return (await call(client, "CreateUpload", **request)).json()["upload"]["uploadId"]


def enveloped(**request):
    data = json.dumps(request).encode()
    return b"\0" + len(data).to_bytes(4, "big") + data


async def scored(client, **request):
    """Events of ScoreUpload over the Connect protocol."""
    headers = {"content-type": "application/connect+json"}
    answer = await client.post("/assay.v1.UploadService/ScoreUpload", content=enveloped(**request), headers=headers)
    data, events = answer.content, []
    while data:
        flags, size = data[0], int.from_bytes(data[1:5], "big")
        message = json.loads(data[5 : 5 + size])
        events += [message] if flags & 2 else message["events"]
        data = data[5 + size :]
    return events


async def test_slices_make_the_file_that_is_scored(pool):
    async with http_client(pool) as client:
        upload = await begun(client, sizeBytes=len(PHOTO))
        for start in range(0, len(PHOTO), 3000):
            await client.put(f"/v1/uploads/{upload}?offset={start}", content=PHOTO[start : start + 3000])
        *_, result, end = await scored(client, uploadId=upload)
        whole = (await client.post("/v1/images:score", content=PHOTO)).json()
    assert (result["result"]["score"]["value"], end) == (whole["score"]["value"], {})


async def test_a_video_is_scored_before_its_last_slice(pool):
    async with http_client(pool) as client:
        upload = await begun(client)
        await client.put(f"/v1/uploads/{upload}?offset=0", content=VIDEO[:-1000])
        listening = asyncio.create_task(scored(client, uploadId=upload))
        await asyncio.sleep(0.5)
        rest = f"/v1/uploads/{upload}?offset={len(VIDEO) - 1000}"
        await client.put(rest, content=VIDEO[-1000:])
        await call(client, "FinishUpload", uploadId=upload)
        events = await listening
    assert "result" in events[-2]


async def test_who_asks_again_is_told_the_later_events_alone(pool):
    async with http_client(pool) as client:
        upload = await begun(client, sizeBytes=len(PHOTO))
        await client.put(f"/v1/uploads/{upload}?offset=0", content=PHOTO)
        first = await scored(client, uploadId=upload)
        again = await scored(client, uploadId=upload, afterSequence=3)
    assert again == first[3:]


async def test_a_broken_slice_stands_as_far_as_it_came(pool):
    async def broken():
        yield PHOTO[:5000]
        await asyncio.sleep(0.2)
        raise ConnectionError

    async with http_client(pool) as client:
        upload = await begun(client, sizeBytes=len(PHOTO))
        with pytest.raises(ConnectionError):
            await client.put(f"/v1/uploads/{upload}?offset=0", content=broken())
        await asyncio.sleep(0.1)
        assert (await client.get(f"/v1/uploads/{upload}")).json()["received_bytes"] == "5000"


def digest(data):
    return {"repr-digest": f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"}


async def test_a_slice_with_its_checksum_is_taken(pool):
    async with http_client(pool) as client:
        upload = await begun(client)
        answer = await client.put(f"/v1/uploads/{upload}?offset=0", content=PHOTO, headers=digest(PHOTO))
    assert answer.json()["received_bytes"] == str(len(PHOTO))


@pytest.mark.parametrize(
    ("offset", "content", "headers", "status", "title"),
    [
        ("7", PHOTO, {}, 409, "UPLOAD_CONFLICT"),
        ("0", PHOTO, digest(b"other"), 409, "UPLOAD_CONFLICT"),
        ("0", PHOTO, {"repr-digest": "md5=:x:"}, 400, "INVALID_REQUEST"),
        ("-1", PHOTO, {}, 400, "INVALID_REQUEST"),
        ("", PHOTO, {}, 400, "INVALID_REQUEST"),
        ("0", PHOTO + b"more", {}, 413, "OVER_LIMIT"),
    ],
    ids=["gap", "checksum", "algorithm", "negative", "no offset", "too long"],
)
async def test_a_wrong_slice_is_refused_and_changes_nothing(pool, offset, content, headers, status, title):
    async with http_client(pool) as client:
        upload = await begun(client, sizeBytes=len(PHOTO) + 2)
        answer = await client.put(f"/v1/uploads/{upload}?offset={offset}", content=content, headers=headers)
    assert (answer.status_code, answer.json()["title"]) == (status, title)


async def test_an_unknown_upload_is_not_found(pool):
    async with http_client(pool) as client:
        answers = [await client.put("/v1/uploads/none?offset=0", content=PHOTO), await client.get("/v1/uploads/none")]
        answers.append(await call(client, "GetUpload", uploadId="none"))
    assert [answer.status_code for answer in answers] == [404, 404, 404]


async def test_an_upload_that_is_too_large_is_refused_before_its_first_slice(pool):
    async with http_client(pool, limits={"max_video_bytes": 1000}) as client:
        answer = await call(client, "CreateUpload", sizeBytes=1001)
    assert (answer.status_code, answer.json()["code"]) == (429, "resource_exhausted")


async def test_a_full_spool_is_507(pool):
    async with http_client(pool, http_spool_bytes=5000) as client:
        upload = await begun(client)
        answer = await client.put(f"/v1/uploads/{upload}?offset=0", content=PHOTO)
    assert (answer.status_code, answer.json()["title"]) == (507, "SPOOL_FULL")


async def test_room_is_given_back_with_the_upload(pool):
    async with http_client(pool, http_spool_bytes=len(PHOTO)) as client:
        for _ in range(3):
            upload = await begun(client, sizeBytes=len(PHOTO))
            assert (await client.put(f"/v1/uploads/{upload}?offset=0", content=PHOTO)).status_code == 200
            await call(client, "DeleteUpload", uploadId=upload)


async def test_an_upload_is_forgotten_after_its_life(pool):
    async with http_client(pool, http_upload_life_seconds=0.05) as client:
        upload = await begun(client)
        await asyncio.sleep(0.1)
        assert (await client.get(f"/v1/uploads/{upload}")).status_code == 404


async def test_finishing_what_is_not_complete_is_refused(pool):
    async with http_client(pool) as client:
        upload = await begun(client, sizeBytes=10)
        answer = await call(client, "FinishUpload", uploadId=upload)
    assert (answer.status_code, answer.json()["code"]) == (409, "aborted")
