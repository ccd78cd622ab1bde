"""Leash: a small process between the supervisor and Triton, so that nothing of Triton is ever left behind.

    python -I -S leash.py SHM_PREFIX GRACE_SECONDS COMMAND...

Standard input is a lifeline: it closes when the supervisor dies, however it dies, and then Triton is killed at once.
SIGTERM asks Triton to stop and kills it after GRACE_SECONDS. In the end its whole process group is gone, all of it is
reaped, and the files SHM_PREFIX* in /dev/shm are removed. Needed because a stub outlives a killed server as long as
nobody reaps that server (it asks whether the process id exists), and a killed Triton leaves its shared memory behind.

Only the standard library is used: this starts in milliseconds and has a single thread, so that it may fork.
"""

import contextlib
import ctypes
import math
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_POLL_SECONDS = 0.05
_REAP_SECONDS = 5.0
_libc = ctypes.CDLL(None)


def hold(shm_prefix: str, grace_seconds: float, command: list[str]) -> int:
    """Run the command to its end, or to ours; its exit status (128 + signal if it was killed)."""
    stop_asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal stop_asked
        stop_asked = True

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    # Orphans of the server come to this process, which reaps them.
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0, preexec_fn=_die_with_parent)
    deadline = math.inf
    try:
        while server.poll() is None and time.monotonic() < deadline and not _lifeline_is_cut():
            if stop_asked and deadline == math.inf:
                server.terminate()
                deadline = time.monotonic() + grace_seconds
    finally:
        _kill_group(server)
        _remove_shared_memory(shm_prefix)
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


def _die_with_parent() -> None:
    """In the child, before the server is loaded: should even this process be killed, the server goes as well."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _lifeline_is_cut() -> bool:
    """Waits a moment. Nobody ever writes to standard input, so it can be read only when it is closed."""
    return bool(select.select([0], [], [], _POLL_SECONDS)[0])


def _kill_group(server: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):  # the server and its stub may have ended by themselves
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()
    deadline = time.monotonic() + _REAP_SECONDS
    while time.monotonic() < deadline:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not ended:
            time.sleep(0.01)
    print(f"leash: something that {server.args!r} started is still there", file=sys.stderr)


def _remove_shared_memory(prefix: str) -> None:
    for path in Path("/dev/shm").glob(f"{prefix}*"):
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(hold(sys.argv[1], float(sys.argv[2]), sys.argv[3:]))
