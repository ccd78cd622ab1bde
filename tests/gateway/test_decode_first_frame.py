"""What leaves while the upload runs: the first frame, as soon as its own bytes and the next 128 KiB have come."""

import asyncio
import io
from functools import cache

import av
import pytest

from assay.frame import Frame
from tests.gateway.decode_upload import VIDEO
from tests.media.build import _in_file, large_video

pytestmark = pytest.mark.asyncio(loop_scope="session")

FIRST_BYTES = (512 + 128) * 1024
"""The first frame of the large video alone has 513 kB; after it MPEG-TS needs the start of the next."""
STREAMABLE = {
    "mp4 faststart": ("mp4", {"movflags": "faststart"}),
    "mp4 fragmented": ("mp4", {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "500000"}),
    "matroska": ("matroska", {}),
    "mpegts": ("mpegts", {}),
    "flv": ("flv", {}),
}


@cache
def in_container(name):
    """The large video, some megabytes of it, in another container."""
    container, options = STREAMABLE[name]

    def write(path):
        with (
            av.open(io.BytesIO(large_video(seconds=2, preset="ultrafast"))) as source,
            av.open(path, "w", format=container, options=options) as out,
        ):
            video = out.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = video
                    out.mux(packet)

    return _in_file(write)


async def events_of(pool, data):
    """Kinds of events that come of these bytes while the upload goes on and nothing more arrives."""
    kinds = []
    async with pool.open(VIDEO) as job:
        await job.write(data)
        async with asyncio.timeout(20):
            async for event in job.events():
                kinds.append(type(event))
                if isinstance(event, Frame):
                    return kinds
    return kinds


@pytest.mark.parametrize("name", STREAMABLE)
async def test_the_first_frame_does_not_wait_for_the_rest(pool, name):
    data = in_container(name)
    assert len(data) > 2 * FIRST_BYTES
    assert Frame in await events_of(pool, data[:FIRST_BYTES])
