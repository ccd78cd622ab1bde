"""Stages of the miniature that train: each a program of its own, with its output in one log."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from assay.errors import AssayError


class StageFailed(AssayError):
    """A stage ended with an error; the message has the end of its log."""

    reason = "STAGE_FAILED"


class Clock:
    """Prints every stage with its seconds, and keeps them."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._began = time.monotonic()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Counts what is done inside as one stage."""
        self._say(f"{name} …")
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began
        self._say(f"{name}: {self.seconds[name]:.1f} s")

    @property
    def total_seconds(self) -> float:
        return time.monotonic() - self._began


def run_program(arguments: Sequence[str | Path], log: Path, root: Path) -> None:
    """`python -m ARGUMENTS` in `root`, where the programs are found. StageFailed with the end of its log."""
    command = [sys.executable, "-m", *map(str, arguments)]
    with log.open("wb") as output:
        code = subprocess.run(command, cwd=root, stdout=output, stderr=output, check=False).returncode
    if code:
        tail = "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-15:])
        raise StageFailed(f"`python -m {' '.join(map(str, arguments))}` ended with {code}; the end of {log}:\n{tail}")
