"""Uploads in slices: begun, broken off, gone on with, scored while they come, and sent again."""

import asyncio
import base64
import hashlib
import json
import resource

import pytest

from gateway.http.body import reuse_memory
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


async def test_who_asks_again_is_sent_the_later_events_alone(pool):
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


async def test_room_is_given_back_with_the_upload(pool):
    async with http_client(pool, http_spool_bytes=len(PHOTO)) as client:
        for _ in range(3):
            upload = await begun(client, sizeBytes=len(PHOTO))
            assert (await client.put(f"/v1/uploads/{upload}?offset=0", content=PHOTO)).status_code == 200
            await call(client, "DeleteUpload", uploadId=upload)


async def test_the_memory_of_a_chunk_serves_the_next_one():
    reuse_memory()
    handed_on(5)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        handed_on(5)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 50 * 64  # 320 pages each otherwise


def handed_on(times):
    """A chunk, and the copies that are made of it until it is in its place."""
    return len([b"x" * (256 << 10) for _ in range(times)])
