"""`make strangers`: what 50 slow uploads cost an honest client of `python -m gateway`, and what cancelling costs."""

import asyncio
import random
import statistics
import time

import psutil

from assay.v1 import assay_pb2
from gateway.decode.jobs import DecodePool
from tests.gateway.decode.upload import VIDEO, decode, upload
from tests.gateway.serving import events
from tests.hostile.fuzz import gateway_process
from tests.hostile.sandbox import processor_seconds
from tests.hostile.test_slow_clients import KINDS, byte_by_byte, no_half_close, nothing_but_the_head, strangers
from tests.media.build import large_video, media

ROUNDS = 9
SLOW = (
    ("image", "jpeg.jpg", nothing_but_the_head),
    ("video", "mp4_faststart.mp4", byte_by_byte),
    ("video", "mpegts_small.ts", no_half_close),
)


async def main():
    async with gateway_process() as (process, address, stub):
        await honest("warming up", process, stub)
        await honest("alone", process, stub)
        for kind, name, sends in SLOW:
            async with strangers(address, kind, name, sends, every_seconds=1.0):
                await asyncio.sleep(4.0)  # what they have sent is being judged, as anybody's would
                await honest(f"next to 50 x {sends.__name__}", process, stub)
    await cancelled()


async def honest(label, process, stub):
    for kind, name in (("image", "jpeg.jpg"), ("video", "mp4_faststart.mp4")):
        start = spent(process)
        took = sorted([await seconds_to_ask(stub, kind, media(name).read_bytes()) for _ in range(ROUNDS)])
        work = (spent(process) - start) / ROUNDS
        best, median = 1e3 * took[0], 1e3 * statistics.median(took)
        print(
            f"{label:32} {kind}: best {best:4.0f} ms, median {median:4.0f} ms, {1e3 * work:4.0f} ms of CPU", flush=True
        )


async def seconds_to_ask(stub, kind, data):
    part, method = KINDS[kind]
    chunks = [part(chunk=data[at : at + 65536]) for at in range(0, len(data), 65536)]
    start = time.perf_counter()
    await events(getattr(stub, method), [part(config=assay_pb2.ScoreConfig()), *chunks])
    return time.perf_counter() - start


def spent(process):
    """Processor seconds of the gateway and its decode workers."""
    gateway = psutil.Process(process.pid)
    return sum(sum(each.cpu_times()[:2]) for each in (gateway, *gateway.children(recursive=True)))


async def cancelled(count=30):
    """So many uploads of 3 s of 1080p, given up at random within 0.6 s."""
    chance, data = random.Random(0), large_video(3)
    async with DecodePool(workers=2, spares=1) as pool:
        pids = set(pool.worker_pids)
        await decode(pool, data, VIDEO, 1 << 18)
        start = sum(map(processor_seconds, pids))
        await decode(pool, data, VIDEO, 1 << 18)
        asked = sum(map(processor_seconds, pids))
        for _ in range(count):
            async with pool.open(VIDEO) as job:
                sending = asyncio.create_task(upload(job, data, 1 << 18))
                await asyncio.sleep(0.6 * chance.random())
                sending.cancel()
        await asyncio.sleep(2.0)
        replaced = len(pids - set(pool.worker_pids))
        print(f"{count} cancelled: {replaced} of 3 workers replaced, asking costs {asked - start:.2f} s of CPU", end="")
        print("" if replaced else f", cancelling {(sum(map(processor_seconds, pids)) - asked) / count:.2f} s")


if __name__ == "__main__":
    asyncio.run(main())
