"""`make sandbox`: what the worker that serves can do beside decoding, and what its lock costs in processor time."""

import argparse
import asyncio
import statistics
import sys
import time
from dataclasses import replace

from assay.frame import Frame
from gateway.decode import DecodePool
from gateway.decode_wire import PERMITTED
from gateway.decode_worker.reader import Upload
from gateway.decode_worker.sandbox import landlock_version
from gateway.decode_worker.video import decode_video
from tests.gateway.decode_upload import VIDEO, decode, upload
from tests.media.build import large_video

PATIENT = replace(VIDEO, limits=replace(VIDEO.limits, max_wall_seconds=3600.0))
"""Only processor time is compared: a busy machine shall not end it by the clock."""
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
    (pid,) = pool.worker_pids
    start, frames = time.process_time() + processor_seconds(pid), 0
    async with pool.open(spec) as job, asyncio.TaskGroup() as group:
        group.create_task(upload(job, data, CHUNK_BYTES))
        async for event in job.events():
            frames += isinstance(event, Frame)  # and drops it, as the other does
    return time.process_time() + processor_seconds(pid) - start, frames


def processor_seconds(pid):
    """User and system time of another process in nanoseconds' grain; /proc counts in hundredths of a second."""
    return time.clock_gettime(~pid << 3 | 2)  # its clock by Linux' own rule, which Python gives for threads only


async def cost(pool, data, rate, rounds):
    """(processor seconds here, locked up) of each round; the one that goes first changes from round to round."""
    spec, pairs = replace(PATIENT, frames_per_second=rate), []
    for turn in range(rounds + 1):
        if turn % 2:
            locked, alone = await in_the_worker(pool, data, spec), in_this_process(data, spec)
        else:
            alone, locked = in_this_process(data, spec), await in_the_worker(pool, data, spec)
        assert alone[1] == locked[1] > 0, f"{alone[1]} frames in this process, {locked[1]} in the worker"
        pairs.append((alone[0], locked[0]))
    return pairs[1:]  # the first warms up


async def costs(pool, seconds, rounds):
    """Median share by which the locked worker is dearer, by frames sampled in a second."""
    data, shares = large_video(seconds), {}
    print(f"Processor time, {seconds} s of 1080p H.264 at 25 frames/s, median of {rounds} interleaved rounds:")
    for rate in (2.0, 25.0):
        pairs = await cost(pool, data, rate, rounds)
        alone, locked = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratios = sorted(b / a - 1 for a, b in pairs)
        shares[rate] = share = statistics.median(ratios)
        spread = f"rounds from {ratios[0]:+.1%} to {ratios[-1]:+.1%}"
        print(f"{rate:4.0f} frames/s sampled: {alone:.2f} s here, {locked:.2f} s locked up: {share:+.1%} ({spread})")
    return shares


def status_of(pid):
    """Lines of /proc/PID/status that say how a process is held."""
    with open(f"/proc/{pid}/status") as status:
        lines = (line.split(":", 1) for line in status)
        return {name: value.split()[0] for name, value in lines if name in ("Uid", "NoNewPrivs", "Seccomp")}


async def main(seconds, rounds):
    async with DecodePool(workers=1, spares=0) as pool:
        await decode(pool, "mp4_faststart.mp4", PATIENT)
        outcomes = await pool.escapes()
        print("A worker that has just decoded a video tries to")
        for name, outcome in outcomes.items():
            print(f"  {name:28} {outcome}")
        print("It runs with", status_of(pool.worker_pids[0]), "and Landlock version", landlock_version() or "none")
        shares = await costs(pool, seconds, rounds)
    escaped = [name for name, outcome in outcomes.items() if outcome == PERMITTED]
    if escaped or max(shares.values()) > MOST:
        sys.exit(f"the sandbox permits {escaped} and costs {max(shares.values()):.1%} (at most {MOST:.0%})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=12, help="of video")
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args()
    asyncio.run(main(chosen.seconds, chosen.rounds))
