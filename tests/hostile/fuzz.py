"""`make fuzz N=20000`: damaged files through the worker pool that serves. Nothing but refusals and frames may come out.

The mutants are made of the good files of tests/media/build.py, from a seed, so that each can be made again by number.
"""

import argparse
import asyncio
import collections
import random
import sys
import time

import psutil

from assay.errors import AssayError
from gateway.decode import DecodePool
from tests.gateway.decode_upload import PICTURE, VIDEO, decode
from tests.media.build import media

DIED = "INVALID_ARGUMENT, its worker died"
STATUSES = {"OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "UNAVAILABLE", DIED}
MOST_GROWTH_BYTES = 20 << 20
AT_ONCE = 2
PICTURES = (
    *("jpeg.jpg", "jpeg_progressive.jpg", "png.png", "png_palette.png", "webp.webp", "webp_animated.webp"),
    *("gif.gif", "bmp.bmp", "tiff.tiff", "avif.avif"),
)
VIDEOS = (
    *("mp4_small.mp4", "mp4_small_fragmented.mp4", "mkv_small.mkv", "webm_small.webm", "mpegts_small.ts"),
    *("flv_small.flv", "mp4_small_hevc.mp4"),
)
WORDS = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\x01", b"moov", b"mdat", b"\x47")


def mutant(number, names=PICTURES + VIDEOS):
    """Name of the file it was made of, and its bytes."""
    chance = random.Random(number)
    name = names[number % len(names)]
    data = bytearray(media(name).read_bytes())
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


async def outcome(pool, number):
    """gRPC status of one mutant; anything that is not ours comes as the name of the exception."""
    name, data = mutant(number)
    try:
        await decode(pool, data, VIDEO if name in VIDEOS else PICTURE)
    except AssayError as error:
        return f"{error.grpc_status}, its worker died" if "broke off" in error.message else error.grpc_status
    except BaseExceptionGroup as group:
        return repr(group)
    return "OK"


async def fuzz(pool, first, count, on_progress=lambda done, told: None):
    """Statuses of the mutants from `first` on, counted."""
    told = collections.Counter()
    numbers = iter(range(first, first + count))

    async def work():
        for number in numbers:
            status = await outcome(pool, number)
            told[status] += 1
            if status not in STATUSES:
                print(f"mutant {number} ({mutant(number)[0]}): {status}", flush=True)
            on_progress(told.total(), told)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())
    return told


async def main(count, first):
    me, start = psutil.Process(), time.monotonic()

    def progress(done, told):
        if done % max(1, count // 20) == 0 or done == count:
            megabytes = me.memory_info().rss / 1e6
            print(
                f"{done:6} of {count}, {time.monotonic() - start:5.0f} s, {megabytes:.0f} MB: {dict(told)}", flush=True
            )

    async with DecodePool(workers=AT_ONCE, spares=1) as pool:
        await fuzz(pool, 10_000_000, 3 * len(PICTURES + VIDEOS))  # loads what is loaded once
        before = me.memory_info().rss
        told = await fuzz(pool, first, count, progress)
        growth = me.memory_info().rss - before
        print(f"RSS of the gateway's process grew by {growth / 1e6:.1f} MB; {told[DIED]} workers died of a file")
    if set(told) - STATUSES or growth > MOST_GROWTH_BYTES:
        sys.exit(f"other statuses: {set(told) - STATUSES}, growth {growth / 1e6:.1f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=20_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant")
    chosen = parser.parse_args()
    asyncio.run(main(chosen.count, chosen.first))
