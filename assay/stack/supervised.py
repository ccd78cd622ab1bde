"""Supervised: one program of the stack through all of its lives, from its first start to the last restart."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from assay.stack.backoff import Backoff
from assay.stack.program import Program, StackError

Wiring = Callable[[Mapping[str, str]], Mapping[str, str]]
"""What is known so far (`checkpoint`, `address`, and the address of each program) -> environment variables. A program
that is restarted finds its own address there and has to listen on it again, because the others know it."""


@dataclass(frozen=True, slots=True)
class Part:
    """One program of the stack."""

    name: str
    module: str
    wiring: Wiring
    ready_seconds: float = 300.0
    """How long it may take until it serves."""


class Supervised:
    """Started at once, and again after each end. All of it on one thread, see Program."""

    def __init__(self, part: Part, launch: Callable[[], Program], backoff: Backoff, say: Callable[[str], None]) -> None:
        self.part = part
        self._launch = launch
        self._backoff = backoff
        self._say = say
        self._has_been_ready = False
        self._ready_at: float | None = None
        self._restart_at: float | None = None
        self.program = launch()
        """The one that runs, or has run last."""

    @property
    def is_ready(self) -> bool:
        return self._ready_at is not None

    def check(self) -> None:
        """Says when it is ready, restarts it when it has ended. StackError if it never came up, or ends too often."""
        if self._restart_at is not None:
            if time.monotonic() >= self._restart_at:
                self._restart_at = None
                self.program = self._launch()
        elif self.program.has_ended():
            # First what it has started and left behind: its group has a name only until the program is reaped.
            self.program.kill()
            self._ended(f"{self.part.name} {self.program.exit_in_words()}")
        elif self._ready_at is None and self.program.address:
            self._ready_at = time.monotonic()
            self._has_been_ready = True
            self._say(f"  {self.part.name} is ready at {self.program.address} ({self.program.age_seconds:.1f} s)")
        elif self._ready_at is None and self.program.age_seconds > self.part.ready_seconds:
            self.program.kill()
            self._ended(f"{self.part.name} was not ready within {self.part.ready_seconds:g} s")

    def _ended(self, what: str) -> None:
        log = f"the end of {self.program.log}:\n{self.program.tail()}"
        if not self._has_been_ready:
            raise StackError(f"{what}{_hint(self.program)}; {log}")
        ran_seconds = 0.0 if self._ready_at is None else time.monotonic() - self._ready_at
        pause_seconds = self._backoff.failed(ran_seconds)
        self._ready_at = None
        if self._backoff.is_exhausted:
            raise StackError(f"{what}, after {self._backoff.max_failures} restarts in a row; {log}")
        self._restart_at = time.monotonic() + pause_seconds
        number = f"{self._backoff.failures} of {self._backoff.max_failures}"
        self._say(f"{what}; restarting it in {pause_seconds:.1f} s (restart {number}), its log is {self.program.log}")


def _hint(program: Program) -> str:
    missing = "ModuleNotFoundError" in program.tail()
    return " (is the checkout installed with `pip install -e .[serve]`?)" if missing else ""
