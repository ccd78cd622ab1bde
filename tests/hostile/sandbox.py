"""`make sandbox`: what the worker that serves can do beside decoding, and what its lock costs in processor time."""

import argparse
import asyncio
import statistics
import sys
import time
from dataclasses import replace

import psutil

from assay.frame import Frame
from gateway.decode import DecodePool
from gateway.decode_wire import PERMITTED
from gateway.decode_worker.reader import Upload
from gateway.decode_worker.sandbox import landlock_version
from gateway.decode_worker.video import decode_video
from tests.gateway.decode_upload import VIDEO, decode, upload
from tests.media.build import large_video

MOST = 0.05
"""Share of processor time that the lock may cost."""
CHUNK_BYTES = 256 * 1024


def in_this_process(data, spec):
    """Processor seconds and frames of a decode without worker, lock or socket."""
    chunks = iter([data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES)])
    start = time.process_time()
    events = decode_video(Upload(lambda: next(chunks, b""), spec.max_bytes), "mp4", spec)
    frames = sum(isinstance(event, Frame) for event in events)
    return time.process_time() - start, frames


async def in_the_worker(pool, data, spec):
    """Processor seconds of this process and the worker together, and frames."""
    worker = psutil.Process(pool.worker_pids[0])

    def spent():
        times = worker.cpu_times()
        return times.user + times.system + time.process_time()

    start, frames = spent(), 0
    async with pool.open(spec) as job, asyncio.TaskGroup() as group:
        group.create_task(upload(job, data, CHUNK_BYTES))
        async for event in job.events():
            frames += isinstance(event, Frame)  # and drops it, as the other does
    return spent() - start, frames


async def cost(pool, rounds):
    """Median share by which the locked worker is dearer, per frames sampled in a second. Rounds are interleaved."""
    data, shares = large_video(), {}
    for rate in (2.0, 25.0):
        spec, pairs = replace(VIDEO, frames_per_second=rate), []
        for _ in range(rounds + 1):
            (alone, frames), (locked, same) = in_this_process(data, spec), await in_the_worker(pool, data, spec)
            assert frames == same, f"{frames} frames in this process, {same} in the worker"
            pairs.append((alone, locked))
        alone, locked = (statistics.median(column) for column in zip(*pairs[1:], strict=True))  # the first warms up
        shares[rate] = share = statistics.median(b / a for a, b in pairs[1:]) - 1
        print(f"{rate:4.0f} frames/s sampled: {alone:.2f} s here, {locked:.2f} s locked up: {share:+.1%}")
    return shares


def status_of(pid):
    """Lines of /proc/PID/status that say how a process is held."""
    with open(f"/proc/{pid}/status") as status:
        lines = (line.split(":", 1) for line in status)
        return {name: value.split()[0] for name, value in lines if name in ("Uid", "NoNewPrivs", "Seccomp")}


async def main(rounds):
    async with DecodePool(workers=1, spares=0) as pool:
        await decode(pool, "mp4_faststart.mp4", VIDEO)
        outcomes = await pool.escapes()
        print("A worker that has just decoded a video tries to")
        for name, outcome in outcomes.items():
            print(f"  {name:28} {outcome}")
        print("It runs with", status_of(pool.worker_pids[0]), "and Landlock version", landlock_version() or "none")
        print(f"Processor time, 1080p H.264, median of {rounds} interleaved rounds:")
        shares = await cost(pool, rounds)
    escaped = [name for name, outcome in outcomes.items() if outcome == PERMITTED]
    if escaped or max(shares.values()) > MOST:
        sys.exit(f"the sandbox permits {escaped} and costs {max(shares.values()):.1%} (at most {MOST:.0%})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    asyncio.run(main(parser.parse_args().rounds))
