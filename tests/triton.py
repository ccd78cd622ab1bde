"""A real Triton server for tests: `python -m triton_server` over a checkpoint, in a process of its own.

from tests.triton import triton_server  # in a conftest.py: the fixture, one server for the session
with running_triton(checkpoint) as server: ...
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from triton_server.install import CannotInstall, check_machine
from triton_server.model_environment import VLLM_ENVIRONMENT
from triton_server.processes import children_of

ROOT = Path(__file__).parent.parent


@dataclass
class Triton:
    """A supervised server that is ready."""

    supervisor: subprocess.Popen[bytes]
    address: str
    """host:port of its gRPC side."""
    log: Path
    """What supervisor, server and stub said on standard error."""

    def pids(self) -> dict[str, int]:
        """Process ids of the leash, the server and the stub, as far as they are there."""
        leash = _only_child(self.supervisor.pid)
        server = _only_child(leash) if leash else None
        stub = _only_child(server) if server else None
        found = {"leash": leash, "server": server, "stub": stub}
        return {name: pid for name, pid in found.items() if pid is not None}


def start_triton(checkpoint: Path, log: Path, **variables: str) -> subprocess.Popen[bytes]:
    """The program, just started; `variables` are TRITON_SERVER_* without the prefix, in lower case."""
    settings = {"checkpoint": str(checkpoint), "threads": "1", "grace_seconds": "3", "warm_up": "false", **variables}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TRITON_SERVER_")}
    environment = inherited | {f"TRITON_SERVER_{name.upper()}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "triton_server"]
    with log.open("wb") as stderr:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=stderr)


@contextmanager
def running_triton(checkpoint: Path, log: Path, **variables: str) -> Iterator[Triton]:
    """A server that has said it is ready; ended by SIGTERM, and it has to end well."""
    supervisor = start_triton(checkpoint, log, **variables)
    try:
        assert supervisor.stdout is not None
        line = supervisor.stdout.readline().decode()
        assert line.startswith("ready triton_server "), log.read_text()
        yield Triton(supervisor, line.split()[2], log)
    finally:
        was_running = supervisor.poll() is None
        supervisor.terminate()
        status = supervisor.wait(30)
    assert not was_running or status == 0, log.read_text()


def vllm_environment() -> Path:
    """Where `make vllm` has installed it. Skipped where it has not."""
    found = Path(os.environ.get("TRITON_SERVER_ENVIRONMENT") or VLLM_ENVIRONMENT)
    if not found.is_dir():
        pytest.skip(f"no vLLM in {found}; run `make vllm`")
    return found


@pytest.fixture(scope="session")
def triton_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    """One server over a tiny random checkpoint. Skipped on machines that cannot run it."""
    from tests.tiny_checkpoint import write_tiny_checkpoint  # imports torch and transformers

    try:
        check_machine()
    except CannotInstall as unfit:
        pytest.skip(unfit.message)
    # Room for 16 frames of 448 x 448.
    checkpoint = write_tiny_checkpoint(tmp_path_factory.mktemp("tiny"), max_position_embeddings=4096)
    with running_triton(checkpoint, tmp_path_factory.mktemp("triton") / "log") as server:
        yield server


def until_gone(pids: list[int], seconds: float = 10.0) -> list[int]:
    """Those of the processes that are still there after a while."""
    deadline = time.monotonic() + seconds
    while (left := [pid for pid in pids if _is_alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def _only_child(pid: int) -> int | None:
    children = children_of(pid)
    return children[0].pid if children else None
