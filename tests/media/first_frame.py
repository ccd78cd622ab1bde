"""`make first-frame`: how long after the first 512 kB of an upload its first frame is there, container by container.

Nothing more is sent until the frame has come. The video is 1080p, 25 frames per second, about 8 Mbit/s, and its first
frame alone has about 190 kB; the clock starts when the first byte is handed to the gateway's decoder.
"""

import argparse
import asyncio
import io
import statistics
import sys
from functools import cache

import av
import numpy as np
from PIL import Image

from assay.frame import Frame
from gateway.decode.jobs import DecodePool
from tests.gateway.decode.upload import VIDEO
from tests.media.build import FRAMES_PER_SECOND, _in_file, picture

FIRST_BYTES = 512_000
MOST_SECONDS = 0.5
_SIZE = 1920, 1080
_FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "500000"}
_H264 = ("libx264", {"preset": "ultrafast", "g": "50", "bf": "2"})
_VP9 = ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "g": "50"})
CONTAINERS = {
    "fragmented MP4": ("mp4", _H264, _FRAGMENTED),
    "faststart MP4": ("mp4", _H264, {"movflags": "faststart"}),
    "MKV": ("matroska", _H264, {}),
    "WebM": ("webm", _VP9, {}),
    "MPEG-TS": ("mpegts", _H264, {}),
    "FLV": ("flv", _H264, {}),
}


@cache
def film(name):
    """Bytes of a video of two seconds in this container."""
    container, (codec, options), muxing = CONTAINERS[name]
    source = _encoded(codec, tuple(options.items()))

    def write(path):
        with av.open(io.BytesIO(source)) as encoded, av.open(path, "w", format=container, options=muxing) as out:
            video = out.add_stream_from_template(encoded.streams.video[0])
            for packet in encoded.demux(video=0):
                if packet.dts is not None:
                    packet.stream = video
                    out.mux(packet)

    return _in_file(write)


@cache
def _encoded(codec, options):
    """Once for all containers."""
    wide = np.asarray(Image.fromarray(picture()).resize(_SIZE)) // 2 + 40

    def write(path):
        with av.open(path, "w", format="mp4") as out:
            stream = out.add_stream(codec, rate=FRAMES_PER_SECOND, options=dict(options))
            (stream.width, stream.height), stream.pix_fmt, stream.bit_rate = _SIZE, "yuv420p", 8_000_000
            stream.codec_context.thread_count = 2
            grain = np.random.default_rng(0).integers(0, 10, (1080, 2400, 1), dtype=np.uint8)
            for index in range(2 * FRAMES_PER_SECOND):
                shifted = np.roll(wide, 4 * index, axis=1) + np.roll(grain, 97 * index, axis=1)[:, :1920]
                out.mux(stream.encode(av.VideoFrame.from_ndarray(shifted, format="rgb24")))
            out.mux(stream.encode(None))

    return _in_file(write)


async def seconds_to_first_frame(pool, data):
    """From the first of these bytes to a frame; the upload does not end."""
    clock = asyncio.get_running_loop().time
    async with pool.open(VIDEO) as job, asyncio.timeout(20):
        start = clock()
        sending = asyncio.create_task(_send(job, data))
        try:
            async for event in job.events():
                if isinstance(event, Frame):
                    return clock() - start
        finally:
            sending.cancel()
    raise AssertionError("the job ended without a frame")


async def _send(job, data):
    for at in range(0, len(data), 65536):
        await job.write(data[at : at + 65536])


async def main(rounds):
    slow = []
    for name in CONTAINERS:
        film(name)  # before the pool: what is made here keeps the loop from all else
    async with DecodePool(workers=1, spares=0) as pool:
        for name in CONTAINERS:
            data = film(name)[:FIRST_BYTES]
            took = sorted([await seconds_to_first_frame(pool, data) for _ in range(rounds + 1)][1:])
            median = statistics.median(took)
            slow += [name] if median > MOST_SECONDS else []
            print(f"{name:16} {1e3 * median:5.0f} ms, {rounds} rounds from {1e3 * took[0]:.0f} to {1e3 * took[-1]:.0f}")
    if slow:
        sys.exit(f"more than {MOST_SECONDS} s: {', '.join(slow)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    asyncio.run(main(parser.parse_args().rounds))
