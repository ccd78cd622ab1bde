"""`make sandbox`: what the worker that serves can do next to decoding, and what its lock costs in processor time."""

import argparse
import asyncio
import statistics
import sys
import time
from dataclasses import dataclass, replace

from assay.frame import Frame
from gateway.decode.jobs import DecodePool
from gateway.decode.protocol import PERMITTED
from gateway.decode.worker.reader import UploadReader
from gateway.decode.worker.sandbox import landlock_version
from gateway.decode.worker.video import decode_video
from tests.gateway.decode.upload import VIDEO, decode, upload
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
    events = decode_video(UploadReader(lambda: next(chunks, b""), spec.max_bytes), "mp4", spec)
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


@dataclass(frozen=True)
class Round:
    """Processor seconds of one job done here, locked up, locked up, here: a machine that slows down favours neither."""

    here: tuple[float, float]
    locked: tuple[float, float]

    @property
    def share(self):
        """By which the lock is dearer."""
        return sum(self.locked) / sum(self.here) - 1

    @property
    def noise(self):
        """By which the same work here differs from itself."""
        return abs(self.here[1] / self.here[0] - 1)


async def cost(pool, data, rate, rounds):
    """Every round but the first, which warms up."""
    spec, counted = replace(PATIENT, frames_per_second=rate), []
    for _ in range(rounds + 1):
        first, *locked, last = (
            in_this_process(data, spec),
            await in_the_worker(pool, data, spec),
            await in_the_worker(pool, data, spec),
            in_this_process(data, spec),
        )
        frames = {frames for _, frames in (first, *locked, last)}
        assert len(frames) == 1, f"{frames} frames of the same video"
        assert frames != {0}
        counted.append(Round((first[0], last[0]), tuple(seconds for seconds, _ in locked)))
    return counted[1:]


async def costs(pool, seconds, rounds):
    """Median share by which the locked worker is dearer, by frames sampled in a second."""
    data, shares = large_video(seconds), {}
    print(f"Processor time, {seconds} s of 1080p H.264 at 25 frames/s, {rounds} rounds of twice here, twice locked up:")
    for rate in (2.0, 25.0):
        counted = await cost(pool, data, rate, rounds)
        here = statistics.median(seconds for r in counted for seconds in r.here)
        locked = statistics.median(seconds for r in counted for seconds in r.locked)
        ratios = sorted(r.share for r in counted)
        shares[rate] = statistics.median(ratios)
        print(
            f"{rate:4.0f} frames/s sampled: {here:.3f} s here, {locked:.3f} s locked up: {shares[rate]:+.1%}, the "
            f"median of rounds from {ratios[0]:+.1%} to {ratios[-1]:+.1%}; the same work here differs from itself by "
            f"{statistics.median(r.noise for r in counted):.1%}"
        )
    return shares


def status_of(pid):
    """Lines of /proc/PID/status that say how a process is held."""
    with open(f"/proc/{pid}/status") as status:
        lines = (line.split(":", 1) for line in status)
        return {name: value.split()[0] for name, value in lines if name in ("Uid", "NoNewPrivs", "Seccomp")}


async def main(seconds, rounds):
    async with DecodePool(workers=1, spares=0, jobs_per_worker=1_000_000) as pool:
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
    parser.add_argument("--seconds", type=int, default=3, help="of video")
    parser.add_argument("--rounds", type=int, default=15)
    chosen = parser.parse_args()
    asyncio.run(main(chosen.seconds, chosen.rounds))
