"""`make bombs`: every bomb of tests/media/bombs.py through the worker that serves, its cost and its error."""

import asyncio
import sys
from dataclasses import dataclass

import psutil

from assay.errors import AssayError
from gateway.decode.jobs import DecodePool
from tests.gateway.decode.upload import PICTURE, VIDEO, decode
from tests.media.bombs import HARMLESS, HARMLESS_PICTURES, PICTURES, VIDEOS

MOST_CPU_SECONDS = 3.0
MOST_RESIDENT_BYTES = 400 << 20


@dataclass(frozen=True)
class Blast:
    """What became of a bomb."""

    status: str
    """gRPC status; OK if it was decoded."""
    message: str
    cpu_seconds: float
    """Of the worker."""
    peak_bytes: int
    """Resident memory of the worker, the highest of its life."""
    survived: bool
    """The same worker is ready for the next upload."""

    @property
    def is_contained(self) -> bool:
        return self.survived and self.cpu_seconds < MOST_CPU_SECONDS and self.peak_bytes < MOST_RESIDENT_BYTES


async def detonate(pool, name):
    """Send one bomb to a pool of one worker."""
    (pid,) = pool.worker_pids
    is_video = name in {**VIDEOS, **HARMLESS}
    data = {**PICTURES, **VIDEOS, **HARMLESS, **HARMLESS_PICTURES}[name]()
    start = _cpu_seconds(pid)
    status, message = "OK", ""
    try:
        await decode(pool, data, VIDEO if is_video else PICTURE, 256 * 1024)
    except AssayError as error:
        status, message = error.grpc_status, error.message
    survived = pool.worker_pids == [pid] and psutil.pid_exists(pid)
    spent = _cpu_seconds(pid) - start if survived else float("inf")
    return len(data), Blast(status, message, spent, _peak_bytes(pid) if survived else 0, survived)


def _cpu_seconds(pid):
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def _peak_bytes(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))


async def main():
    failed = []
    async with DecodePool(workers=1, spares=0) as pool:
        print(f"{'bomb':36} {'bytes':>9} {'CPU s':>6} {'peak MB':>8}  status and message")
        for name in (*PICTURES, *VIDEOS, *HARMLESS, *HARMLESS_PICTURES):
            size, blast = await detonate(pool, name)
            cost = f"{blast.cpu_seconds:6.2f} {blast.peak_bytes / 1e6:8.0f}"
            print(f"{name:36} {size:9} {cost}  {blast.status} {blast.message}", flush=True)
            if not blast.is_contained or (blast.status == "OK") != (name in {**HARMLESS, **HARMLESS_PICTURES}):
                failed.append(name)
    if failed:
        sys.exit(f"not contained: {', '.join(failed)}")


if __name__ == "__main__":
    asyncio.run(main())
