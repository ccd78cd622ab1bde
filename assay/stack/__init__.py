"""Stack: every program of Assay on this machine, started in order of need, restarted when it dies, stopped in reverse.

with Stack() as stack:
    Client(stack.address).score("photo.jpg")
"""

import importlib
import math
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Self

from assay.errors import CheckpointError
from assay.stack.program import Backoff, Part, Program, StackError, Supervised

__all__ = ["STAGES", "NoCheckout", "Part", "Stack", "StackError", "checkout", "checkout_module"]

# Longer than the programs let calls in flight go on after SIGTERM (30 s).
STOP_SECONDS = 35.0
_POLL_SECONDS = 0.05


class NoCheckout(StackError):
    """The programs are not here: only the client is installed."""

    grpc_status = "FAILED_PRECONDITION"
    reason = "NO_CHECKOUT"


def _service(name: str) -> Part:
    prefix = name.upper()
    return Part(
        name,
        f"services.{name}",
        lambda known: {
            f"{prefix}_ADDRESS": known.get(name, "127.0.0.1:0"),
            f"{prefix}_TRITON": known["triton_server"],
            f"{prefix}_CHECKPOINT": known["checkpoint"],
        },
    )


STAGES: Sequence[Sequence[Part]] = (
    (
        Part(
            "triton_server",
            "triton_server",
            lambda known: {
                "TRITON_SERVER_CHECKPOINT": known["checkpoint"],
                "TRITON_SERVER_HOST": "127.0.0.1",
                "TRITON_SERVER_GRPC_PORT": known.get("triton_server", ":0").rpartition(":")[2],
            },
            # Loading a large checkpoint takes minutes, and it gives up by itself (TRITON_SERVER_START_TIMEOUT_SECONDS).
            ready_seconds=math.inf,
        ),
    ),
    (
        _service("attribute_extraction"),
        _service("scoring"),
        # What it may ask for comes from FETCH_… in the environment; without these it refuses every URI.
        Part("fetch", "services.fetch", lambda known: {"FETCH_ADDRESS": known.get("fetch", "127.0.0.1:0")}),
    ),
    (
        Part(
            "gateway",
            "gateway",
            lambda known: {
                "GATEWAY_ADDRESS": known.get("gateway", known["address"]),
                "GATEWAY_ATTRIBUTE_EXTRACTION": known["attribute_extraction"],
                "GATEWAY_SCORING": known["scoring"],
                "GATEWAY_FETCH": known["fetch"],
                "GATEWAY_HTTP_ADDRESS": known.get("http_address", ""),
            },
        ),
    ),
)
"""Programs of one stage start together, once those of the stage before are ready."""


def checkout() -> Path:
    """The directory that holds the programs. NoCheckout if there is none."""
    for directory in (Path(__file__).resolve().parents[2], Path.cwd()):
        if all((directory / name / "__init__.py").is_file() for name in ("gateway", "triton_server")):
            return directory
    raise NoCheckout(
        "the servers are not installed here, only the client is; get a checkout of Assay, run `make setup` in it, and "
        "use its .venv/bin/assay"
    )


def checkout_module(name: str) -> ModuleType:
    """A module that is not the library's, by its name. NoCheckout if there is none."""
    root = str(checkout())
    if root not in sys.path:
        sys.path.insert(0, root)
    return importlib.import_module(name)


class Stack:
    """Runs the programs; start and stop it as a context. All of it on one thread, see Program."""

    def __init__(
        self,
        *,
        checkpoint: Path | None = None,
        address: str = "127.0.0.1:0",
        http_address: str = "",
        logs: Path | None = None,
        root: Path | None = None,
        stages: Sequence[Sequence[Part]] = STAGES,
        stop_seconds: float = STOP_SECONDS,
        backoff: Callable[[], Backoff] = Backoff,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Nothing starts yet. NoCheckout, CheckpointError.

        `address` is where the gateway listens (port 0: a free one), `http_address` where it serves its page besides
        (empty: nowhere), `logs` a directory for one log per program,
        `root` the directory the programs are found in, `say` gets what happens, a line at a time. `backoff` makes
        the rule by which one program is restarted.
        """
        self._root = root or checkout()
        self._checkpoint = (checkpoint or self._root / "checkpoints" / "nano").resolve()
        if not self._checkpoint.is_dir():
            raise CheckpointError(f"there is no checkpoint directory {self._checkpoint}; name one with --checkpoint")
        self.logs = logs or self._root / "runs" / "logs"
        self._known = {"checkpoint": str(self._checkpoint), "address": address}
        if http_address:
            self._known["http_address"] = http_address
        self._stages = stages
        self._stop_seconds = stop_seconds
        self._backoff = backoff
        self._say = say
        self._supervised: list[Supervised] = []
        self._is_given_up = False

    @property
    def address(self) -> str:
        """Where the last program, the gateway, serves. StackError before it does."""
        if not self._supervised or not self._supervised[-1].program.address:
            raise StackError("the stack does not serve yet")
        return self._supervised[-1].program.address

    @property
    def http_address(self) -> str:
        """Where the gateway serves its page; empty if it does not."""
        return self._supervised[-1].program.http_address if self._supervised else ""

    @property
    def addresses(self) -> dict[str, str]:
        """Name of each program to its address."""
        return {each.part.name: each.program.address for each in self._supervised}

    def start(self) -> None:
        """Returns when all serve. StackError with the end of a log if one does not; then none is left running."""
        self.logs.mkdir(parents=True, exist_ok=True)
        try:
            for stage in self._stages:
                self._start_stage(stage)
        except BaseException:
            self.stop()
            raise

    def wait(self) -> None:
        """Restarts what ends. Returns never; StackError when a program keeps ending."""
        while True:
            self.keep_running()
            time.sleep(_POLL_SECONDS)

    def keep_running(self) -> None:
        """Restarts what has ended, without waiting for it. StackError when a program keeps ending."""
        for each in self._supervised:
            each.check()

    def stop(self) -> None:
        """Stops all in reverse order; an interrupt meanwhile kills what is left."""
        if len(self._supervised) == sum(map(len, self._stages)):
            self._say("stopping; calls in flight may take 30 s to end, Ctrl-C once more ends them")
        try:
            while self._supervised:
                program = self._supervised[-1].program
                self._say(f"  stopping {program.name}")
                if not program.stop(self._stop_seconds):
                    self._say(f"{program.name} did not stop within {self._stop_seconds:g} s and was killed")
                self._supervised.pop()
        except BaseException:
            for each in self._supervised:
                each.program.kill()
            self._supervised.clear()
            raise

    def give_up(self) -> None:
        """From another thread: a start that is under way fails."""
        self._is_given_up = True

    def _start_stage(self, stage: Sequence[Part]) -> None:
        self._say(f"starting {' and '.join(part.name for part in stage)}")
        started = []
        for part in stage:
            started.append(Supervised(part, partial(self._launch, part), self._backoff(), self._say))
            self._supervised.append(started[-1])
        for each in started:
            while not each.is_ready:
                self.keep_running()
                if self._is_given_up:
                    raise StackError(f"the start was given up before {each.part.name} was ready")
                time.sleep(_POLL_SECONDS)
            self._known[each.part.name] = each.program.address

    def _launch(self, part: Part) -> Program:
        log = self.logs / f"{part.name}.log"
        is_restart = part.name in self._known
        return Program(part.name, part.module, part.wiring(self._known), self._root, log, is_restart=is_restart)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
