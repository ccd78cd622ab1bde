"""`make fuzz N=20000`: damaged files through a gateway that serves. Nothing but refusals and scores may come out.

The mutants are made of the good files of tests/media, from a seed, so that each can be made again by number.
"""

import argparse
import asyncio
import collections
import os
import random
import sys
import time
from contextlib import asynccontextmanager
from functools import cache

import psutil

from assay.errors import AssayError
from assay.rpc.channel import channel
from assay.v1 import assay_pb2, assay_pb2_grpc, attribute_extraction_pb2_grpc, score_pb2, scoring_pb2_grpc
from services.attribute_extraction.service import AttributeExtractionService
from services.scoring.service import ScoringService
from tests.checkpoints import small_checkpoint
from tests.gateway.serving import events, upstream_service
from tests.media.corpus import content
from tests.scripted_generator import ScriptedGenerator

DIED = "INVALID_ARGUMENT, its worker died"
STATUSES = {"OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "UNAVAILABLE", DIED}
MOST_GROWTH_BYTES = 20 << 20
AT_ONCE = 2
CHUNK_BYTES = 65536
PICTURES = (
    *("jpeg.jpg", "jpeg_progressive.jpg", "png.png", "png_palette.png", "webp.webp", "webp_animated.webp"),
    *("gif.gif", "bmp.bmp", "tiff.tiff", "avif.avif", "heic_grid.heic"),
    *("png_interlaced_transparent.png", "png_grey_alpha.png", "webp_transparent.webp"),
    *("avif_grid.avif", "avif_transparent_cropped_turned.avif", "avif_hdr.avif", "avif_animated.avif"),
    *("png_profile.png", "jpeg_profile.jpg", "webp_profile.webp", "avif_profile.avif", "jpeg_inks_with_profile.jpg"),
    *("tiff_below_a_thumbnail.tiff", "tiff_16_bit_grey_tiles.tiff", "tiff_big_lab.tiff", "camera_raw.tiff", "mpo.jpg"),
)
VIDEOS = (
    *("mp4_small.mp4", "mp4_small_fragmented.mp4", "mkv_small.mkv", "webm_small.webm", "mpegts_small.ts"),
    *("flv_small.flv", "mp4_small_hevc.mp4", "webm_vp8_alpha.webm", "webm_vp9_alpha.webm"),
    *("avi_small.avi", "avi_small_mjpeg.avi", "avi_small_dv.avi", "mov_small_prores.mov", "mov_small_interlaced.mov"),
    *("mpegps_small.mpg", "mpegps_small_mpeg1.mpg", "ts_avchd_192_byte_packets.mts", "mkv_cropped_letterbox.mkv"),
    *("mp4_interlaced.mp4", "mkv_18_subtitle_tracks.mkv"),
)
WORDS = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\x01", b"moov", b"mdat", b"\x47")


@cache
def seed(name):
    """The file as it was, made once."""
    return content(name)


def mutant(number, names=PICTURES + VIDEOS):
    """Name of the file it was made of, and its bytes."""
    chance = random.Random(number)
    name = names[number % len(names)]
    data = bytearray(seed(name))
    head = min(len(data), 2048)  # where headers and tables are, half of all damage is done
    for _ in range(chance.choice((1, 2, 4, 16, 64))):
        at = chance.randrange(head if chance.random() < 0.5 else len(data))
        match chance.randrange(5):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                data[at] ^= 1 << chance.randrange(8)
            case 2:
                word = chance.choice(WORDS)
                data[at : at + len(word)] = word
            case 3:
                del data[at : at + chance.randrange(1, 64)]
            case 4:
                data[at:at] = data[at : at + chance.randrange(1, 64)]
        data = data or bytearray(1)
        head = min(len(data), 2048)
    if chance.random() < 0.1:
        del data[chance.randrange(len(data)) :]
    return name, bytes(data)


async def outcome(stub, number):
    """gRPC status of one mutant; anything that is not ours comes as the name of the exception."""
    name, data = mutant(number)
    method, part = (stub.StreamImage, assay_pb2.StreamImageRequest)
    if name in VIDEOS:
        method, part = (stub.StreamVideo, assay_pb2.StreamVideoRequest)
    parts = [part(config=assay_pb2.ScoreConfig(form=score_pb2.ANSWER_FORM_DIRECT))]
    parts += [part(chunk=data[start : start + CHUNK_BYTES]) for start in range(0, len(data), CHUNK_BYTES)]
    try:
        await events(method, parts)
    except AssayError as error:
        return DIED if "broke off" in error.message else error.grpc_status
    return "OK"


async def fuzz(stub, first, count, on_progress=lambda done, reported: None):
    """Statuses of the mutants from `first` on, counted."""
    reported = collections.Counter()
    numbers = iter(range(first, first + count))

    async def work():
        for number in numbers:
            status = await outcome(stub, number)
            reported[status] += 1
            if status not in STATUSES:
                print(f"mutant {number} ({mutant(number)[0]}): {status}", flush=True)
            on_progress(reported.total(), reported)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())
    return reported


@asynccontextmanager
async def gateway_process():
    """`python -m gateway` before services whose model answers at once: the process, its address, a client's stub."""
    model = ScriptedGenerator()
    checkpoint = small_checkpoint()
    async with (
        upstream_service(checkpoint, model, AttributeExtractionService, attribute_extraction_pb2_grpc) as extraction,
        upstream_service(checkpoint, model, ScoringService, scoring_pb2_grpc) as scoring,
    ):
        settings = {
            "GATEWAY_ADDRESS": "127.0.0.1:0",
            "GATEWAY_ATTRIBUTE_EXTRACTION": extraction,
            "GATEWAY_SCORING": scoring,
            "GATEWAY_DECODE_WORKERS": str(AT_ONCE),
            "GATEWAY_LOG_LEVEL": "error",
            # A machine that stands still for half a minute is not the doing of a file.
            "GATEWAY_UPLOAD__IDLE_SECONDS": "3600",
            "GATEWAY_UPLOAD__GRACE_SECONDS": "3600",
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway"), env={**os.environ, **settings}, stdout=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(120):
                address = (await process.stdout.readline()).decode().split()[-1]
            async with channel(address) as connected:
                yield process, address, assay_pb2_grpc.AssayServiceStub(connected)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def main(count, first):
    start = time.monotonic()
    async with gateway_process() as (process, _, stub):
        gateway = psutil.Process(process.pid)

        def progress(done, reported):
            if done % max(1, count // 20) == 0 or done == count:
                megabytes = gateway.memory_info().rss / 1e6
                seconds = time.monotonic() - start
                print(f"{done:6} of {count}, {seconds:5.0f} s, {megabytes:.0f} MB: {dict(reported)}", flush=True)

        await fuzz(stub, 10_000_000, 3 * len(PICTURES + VIDEOS))  # loads what is loaded once
        before = gateway.memory_info().rss
        reported = await fuzz(stub, first, count, progress)
        exits = int(process.returncode is not None)
        growth = gateway.memory_info().rss - before if not exits else 0
    others = sorted(set(reported) - STATUSES)
    print(
        f"{exits} gateway exits; {reported[DIED]} workers died of a file; other statuses: {', '.join(others) or 'none'}"
    )
    print(f"RSS of the gateway's process grew by {growth / 1e6:.1f} MB in {count} requests")
    if exits or others or growth > MOST_GROWTH_BYTES:
        sys.exit("the gateway did not hold")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=20_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant")
    chosen = parser.parse_args()
    asyncio.run(main(chosen.count, chosen.first))
