"""`python -m benchmarks.recovery`: what each fault of the stack costs clients that ask for scores meanwhile.

A stack of its own serves; every half second a small photo is sent for a direct score. Then a process is killed, or
stopped for --stopped-seconds, and a line says after how many seconds scores came again and how long the slowest call
waited for its status. The load average stands in the line, because a start is bound by the processor.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from assay.client import AsyncClient
from assay.errors import AssayError
from assay.stack import Stack, checkout
from benchmarks.stack.running import running

FAULTS = (
    "stub killed",
    "tritonserver killed",
    "stub stopped",
    "tritonserver stopped",
    "scoring killed",
    "gateway killed",
)
_EVERY_SECONDS = 0.5
_LONGEST_SECONDS = 180.0
_GOOD_IN_A_ROW = 3


def victim(stack_pid: int, name: str) -> psutil.Process:
    """The process of that name below the stack's."""
    below = psutil.Process(stack_pid).children(recursive=True)
    marks = {"stub": "triton_python_backend_stub", "tritonserver": "bin/tritonserver", "scoring": "services.scoring"}
    mark = marks.get(name, name)
    return next(each for each in below if any(part.endswith(mark) for part in each.cmdline()[:4]))


async def measure(client: AsyncClient, photo: Path, process: psutil.Process, stopped_seconds: float) -> str:
    """Kills the process, or stops it for a while, and says what calls saw until scores came again."""
    began = time.monotonic()
    ended: list[tuple[float, float, str]] = []
    if stopped_seconds:
        process.suspend()
        asyncio.get_running_loop().call_later(stopped_seconds, process.resume)
    else:
        process.send_signal(signal.SIGKILL)

    async def ask() -> None:
        asked = time.monotonic()
        try:
            await client.score(photo, form="direct")
            said = ""
        except AssayError as error:
            said = error.reason
        ended.append((asked - began, time.monotonic() - asked, said))

    asking: list[asyncio.Task[None]] = []
    while time.monotonic() - began < _LONGEST_SECONDS and not _is_back(ended, stopped_seconds):
        asking.append(asyncio.create_task(ask()))
        await asyncio.sleep(_EVERY_SECONDS)
    await asyncio.gather(*asking)
    return _in_words(ended)


def _is_back(ended: Sequence[tuple[float, float, str]], stopped_seconds: float) -> bool:
    last = sorted(ended)[-_GOOD_IN_A_ROW:]
    return len(last) == _GOOD_IN_A_ROW and all(not said and at > stopped_seconds + 1 for at, _, said in last)


def _in_words(ended: Sequence[tuple[float, float, str]]) -> str:
    failed = [(at, waited, said) for at, waited, said in ended if said]
    reasons = ", ".join(sorted({said for _, _, said in failed})) or "none"
    last_failed = max((at for at, _, _ in failed), default=0.0)
    back = min((at + waited for at, waited, said in ended if not said and at >= last_failed), default=float("inf"))
    slowest = max((waited for _, waited, _ in failed), default=0.0)
    return f"{back:8.1f} {len(failed):8d} {slowest:10.2f}   {reasons}"


async def run(options: argparse.Namespace) -> None:
    photo = checkout() / "demo" / "photo.jpg"
    stack = Stack(checkpoint=options.checkpoint, say=lambda line: print(line, file=sys.stderr))
    async with running(stack, restarts=True):
        print(f"{'fault':<22}{'back, s':>8}{'failed':>9}{'slowest, s':>11}   reasons (load average)")
        for fault in options.faults or FAULTS:
            name, how = fault.split()
            async with AsyncClient(stack.address) as client:
                await client.score(photo, form="direct")
                seconds = options.stopped_seconds if how == "stopped" else 0.0
                line = await measure(client, photo, victim(os.getpid(), name), seconds)
            print(f"{fault:<22}{line} ({os.getloadavg()[0]:.0f})", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """0 when every fault was recovered from."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, help="default: checkpoints/nano")
    parser.add_argument("--stopped-seconds", type=float, default=20.0)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"some of {', '.join(FAULTS)}; default: all")
    asyncio.run(run(parser.parse_args(argv)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
