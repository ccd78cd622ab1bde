"""`python -m tests.media.live_memory --minutes 600`: what a decode worker holds while a live stream runs.

The stream is made on the way and pushed as fast as it is decoded: ten frames a second of its own time.
"""

import argparse
import asyncio
import time

import psutil

from gateway.decode.jobs import DecodePool
from gateway.decode.spec import DecodeSource, DecodeSpec, Target
from tests.media.live import FRAMES_PER_SECOND, endless

SPEC = DecodeSpec(is_video=True, target=Target(56 * 56, 448 * 448), source=DecodeSource.STREAM)


async def resident_bytes(pool: DecodePool, minutes: float, every_minutes: float, container: str) -> list[int]:
    """Of the worker, each time that so many minutes of the stream have come out of it."""
    resident: list[int] = []
    frames = round(minutes * 60 * FRAMES_PER_SECOND)
    async with pool.open(SPEC) as job:

        async def send() -> None:
            for piece in endless(frames, container=container):
                await job.write(piece)
            await job.end()

        async def look() -> None:
            next_seconds = every_minutes * 60
            async for event in job.events():
                seconds = getattr(event, "pts_seconds", 0.0)
                if seconds >= next_seconds:
                    next_seconds += every_minutes * 60
                    resident.append(psutil.Process(job.worker_pid).memory_info().rss)

        async with asyncio.TaskGroup() as group:
            group.create_task(send())
            group.create_task(look())
    return resident


async def main(minutes: float) -> None:
    async with DecodePool(workers=1, spares=0) as pool:
        for container in ("mpegts", "mp4"):
            started = time.perf_counter()
            resident = await resident_bytes(pool, minutes, minutes / 10, container)
            reported = " ".join(f"{each / 2**20:.1f}" for each in resident)
            took_seconds = time.perf_counter() - started
            print(f"{container}: {minutes:g} minutes in {took_seconds:.0f} s; resident MiB at each tenth: {reported}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    asyncio.run(main(parser.parse_args().minutes))
