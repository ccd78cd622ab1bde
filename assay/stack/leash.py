"""Runs a command that ends when the process that asked for it does: `leash.py PARENT_PID COMMAND…`.

A stack that is killed outright cannot stop its programs any more, so the kernel does it. This stands in a process of
its own, and by its path, because code between fork and exec is not safe in a program that has threads.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent_pid: int, command: list[str]) -> None:
    """Becomes the command. Returns only if the parent is gone already."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        # SIGTERM, not SIGKILL: a program gets the chance to end its own children.
        if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    # It may have ended before the line above; then no signal will come.
    if os.getppid() == parent_pid:
        os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
