"""`assay up` and `assay demo`: the whole stack on this machine."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from assay.cli.score import ScoreOptions, score_files
from assay.stack import Stack, checkout

_DEMO_FILES = ("demo/photo.jpg", "demo/video.mp4")


def run_up(checkpoint: Path | None, logs: Path | None, address: str, http_address: str) -> int:
    """Runs until Ctrl-C or SIGTERM (0), or until a program keeps ending (StackError)."""
    with _ended_by_signals():
        stack = Stack(
            checkpoint=checkpoint,
            address=address,
            http_address=http_address,
            logs=logs,
            say=_say,
        )
        _say(f"one log per program in {_short(stack.logs)}")
        try:
            with stack:
                for name, address in stack.addresses.items():
                    print(f"{name:<22}{address}", flush=True)
                if stack.http_address:
                    print(f"{'page':<22}http://{stack.http_address}/", flush=True)
                _say(f"ready: `assay score --server {stack.address} FILE`; Ctrl-C stops everything")
                stack.wait()
        except KeyboardInterrupt:
            _say("all stopped")
    return 0


def run_demo(paths: Sequence[str], checkpoint: Path | None, logs: Path | None, stays_up: bool) -> int:
    """Scores the demo's files with a stack of its own; exit codes are those of `assay score`."""
    paths = paths or [_short(checkout() / name) for name in _DEMO_FILES]
    with (
        _ended_by_signals(),
        Stack(
            checkpoint=checkpoint,
            http_address="127.0.0.1:0" if stays_up else "",
            logs=logs,
            say=_say,
        ) as stack,
    ):
        code = asyncio.run(score_files(stack.address, paths, ScoreOptions()))
        if stays_up:
            _say(f"try your own on http://{stack.http_address}/ ; Ctrl-C stops everything")
            with suppress(KeyboardInterrupt):
                stack.wait()
        return code


def _say(line: str) -> None:
    # A stack whose terminal has been closed, or whose pipe has no reader any more, serves on.
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def _short(path: Path) -> str:
    """Relative to where we are if it lies below."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM, SIGINT and a closed terminal stop the stack as Ctrl-C does.

    A shell without job control starts what stands before `&` with SIGINT ignored; `kill -INT` is meant all the same.
    SIGHUP that is ignored stays so: `nohup` asks for it.
    """
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
