"""The leash, around stand-ins for Triton that a shell can play."""

import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.triton import ROOT, until_gone
from triton_server.processes import children_of

# Like a server and its stub: a group of two, where the stub would not go by itself.
TWO = "sleep 60 & wait"
STUBBORN = "trap '' TERM; sleep 60 & while :; do wait; done"


@contextmanager
def leashed(script: str, *, grace_seconds: float = 5.0, prefix: str = "") -> Iterator[subprocess.Popen[bytes]]:
    prefix = prefix or f"assay_test_{uuid.uuid4().hex}"
    leash_file = str(ROOT / "triton_server" / "leash.py")
    command = [sys.executable, "-I", "-S", leash_file, prefix, str(grace_seconds), "sh", "-c", script]
    leash = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield leash
    finally:
        leash.kill()
        leash.communicate()


def held(leash: subprocess.Popen[bytes]) -> list[int]:
    """Process ids of server and stub, once both are there."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        servers = [child.pid for child in children_of(leash.pid) if child.name == "sh"]
        stubs = [child.pid for server in servers for child in children_of(server)]
        if stubs:
            return servers + stubs
        time.sleep(0.02)
    raise AssertionError("the shell and its child did not come up")


def test_the_end_of_the_lifeline_kills_the_whole_group():
    with leashed(STUBBORN) as leash:
        group = held(leash)
        assert leash.stdin is not None
        leash.stdin.close()
        assert leash.wait(5) == 128 + signal.SIGKILL
        assert until_gone(group, 0.5) == []


def test_sigterm_lets_the_server_end_by_itself():
    with leashed("trap 'exit 7' TERM; sleep 60 & wait") as leash:
        group = held(leash)
        leash.terminate()
        assert leash.wait(5) == 7
        assert until_gone(group, 0.5) == []


def test_a_server_that_ignores_sigterm_is_killed_after_the_grace_period():
    with leashed(STUBBORN, grace_seconds=0.2) as leash:
        group = held(leash)
        leash.terminate()
        assert leash.wait(5) == 128 + signal.SIGKILL
        assert until_gone(group, 0.5) == []


def test_a_stub_does_not_outlive_its_server():
    with leashed(TWO) as leash:
        server, stub = held(leash)
        subprocess.run(["kill", "-9", str(server)], check=True)
        assert leash.wait(5) == 128 + signal.SIGKILL
        assert until_gone([stub], 0.5) == []


def test_a_killed_leash_takes_the_server_with_it():
    with leashed(TWO) as leash:
        server, stub = held(leash)
        leash.kill()
        leash.wait(5)
        assert until_gone([server], 2) == []
        # The stub is left for the supervisor, which knows it (test_supervisor).
        subprocess.run(["kill", "-9", str(stub)], check=True)


@pytest.mark.parametrize("how", ["end", "lifeline"])
def test_only_the_shared_memory_of_this_server_is_removed(how):
    prefix = f"assay_test_{uuid.uuid4().hex}_"
    ours, others = Path(f"/dev/shm/{prefix}region"), Path(f"/dev/shm/other_{prefix}region")
    ours.touch()
    others.touch()
    try:
        with leashed("exit 0" if how == "end" else TWO, prefix=prefix) as leash:
            if how == "lifeline":
                held(leash)
                assert leash.stdin is not None
                leash.stdin.close()
            leash.wait(5)
        assert (ours.exists(), others.exists()) == (False, True)
    finally:
        ours.unlink(missing_ok=True)
        others.unlink()
