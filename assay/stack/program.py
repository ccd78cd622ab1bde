"""Program: one process of the stack, from its start to its `ready` line to its end; and through all of its lives."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from assay.errors import AssayError

_READY = re.compile(r"ready \S+ (\S+:\S+)")
_HTTP = re.compile(r"http \S+ (\S+:\S+)")
_POLL_SECONDS = 0.05
_LEASH = Path(__file__).with_name("leash.py")


class StackError(AssayError):
    """A program of the stack did not start, or ended by itself."""

    reason = "STACK"


class Program:
    """`python -m MODULE` in a process group of its own, with its output in one log.

    The thread that makes it must live as long as the program: the kernel ends the program with it.
    """

    def __init__(
        self,
        name: str,
        module: str,
        variables: Mapping[str, str],
        root: Path,
        log: Path,
        *,
        is_restart: bool = False,
    ) -> None:
        """Starts it in the directory `root`, with `variables` on top of this process's environment.

        A restart adds to the log, which says why the program has ended before.
        """
        self.name = name
        self.log = log
        self.address = ""
        """HOST:PORT, or unix:PATH; empty until it is ready."""
        self.http_address = ""
        """HOST:PORT where it serves HTTP besides; empty if it does not."""
        self._started_at = time.monotonic()
        leash = [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid())]
        settings = [f"{name}={value}" for name, value in variables.items()]
        with log.open("ab" if is_restart else "wb") as output:
            self._process = subprocess.Popen(
                [*leash, "env", *settings, sys.executable, "-m", module],
                cwd=root,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=output,
                # A session of its own: Ctrl-C in the terminal reaches the stack alone, which then stops all in order.
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, name=f"stdout-of-{name}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def age_seconds(self) -> float:
        return time.monotonic() - self._started_at

    def has_ended(self) -> bool:
        """Whether the process is over. It is not reaped, so that its number still means it and its group."""
        if self._process.returncode is not None:
            return True
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def exit_in_words(self) -> str:
        """How it ended; reaps it. Waits for the end if it has not come."""
        code = self._process.wait()
        self._reader.join(timeout=1.0)
        return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"

    def tail(self, lines: int = 15) -> str:
        """The end of its log, indented, for a person."""
        text = self.log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join(f"    {_for_a_person(line)}" for line in text) or "    (nothing)"

    def stop(self, grace_seconds: float) -> bool:
        """Asks it to end, waits, and kills what is left of its group. False if it had to be killed."""
        deadline = time.monotonic() + grace_seconds
        if not self.has_ended():
            os.kill(self.pid, signal.SIGTERM)
        while not (ended := self.has_ended()) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        self.kill()
        return ended

    def kill(self) -> None:
        """Ends the whole group at once."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self.exit_in_words()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output, self.log.open("ab") as log:
            for line in output:
                log.write(line)
                log.flush()
                if match := _HTTP.match(line.decode(errors="replace")):
                    self.http_address = match[1]
                if not self.address and (match := _READY.match(line.decode(errors="replace"))):
                    self.address = match[1]


def _for_a_person(line: str) -> str:
    """What a log line in JSON says; any other as it is."""
    try:
        written = json.loads(line)
        return "\n    ".join([f"{written['level']}: {written['message']}", *written.get("exception", "").splitlines()])
    except (ValueError, KeyError, TypeError):
        return line


@dataclass(slots=True)
class Backoff:
    """How long to wait before what has failed is tried again, by failures in a row; `calm_seconds` begin a new row."""

    first_seconds: float = 0.2
    longest_seconds: float = 10.0
    max_failures: int = 5
    calm_seconds: float = 30.0
    failures: int = 0

    def failed(self, ran_seconds: float) -> float:
        """Seconds to wait after a failure that followed `ran_seconds` of good service (0: it never came up)."""
        self.failures = 1 if ran_seconds >= self.calm_seconds else self.failures + 1
        return float(min(self.first_seconds * 2 ** (self.failures - 1), self.longest_seconds))

    @property
    def is_exhausted(self) -> bool:
        """Whether trying again is no longer likely to help."""
        return self.failures > self.max_failures


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
