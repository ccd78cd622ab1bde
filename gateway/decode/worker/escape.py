"""Tries to break out of the sandbox, in the very process that decodes, and says how far it came.

Every worker does so before its first upload, and the gateway lends none that got through anywhere.
"""

import ctypes
import errno
import mmap
import os
import socket
from collections.abc import Callable

from gateway.decode.protocol import PERMITTED

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWUSER = 0x10000000


def _checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "")


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


ATTEMPTS: dict[str, Callable[[], object]] = {
    "open a file": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "create a file": lambda: os.open("/tmp", os.O_WRONLY | os.O_TMPFILE),
    "list a directory": lambda: os.listdir("/"),
    "internet socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
    "datagram socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "unix socket": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
    "fork": _fork,
    "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "kill the gateway": lambda: os.kill(os.getppid(), 0),  # signal 0 asks whether it could
    "read the gateway's memory": lambda: _checked(_LIBC.process_vm_readv(os.getppid(), None, 0, None, 0, 0)),
    "executable memory": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC),
    "new user namespace": lambda: _checked(_LIBC.unshare(_CLONE_NEWUSER)),
    "become root": lambda: os.setuid(0),
}


def outcomes() -> dict[str, str]:
    """Name of each attempt -> the error that stopped it, or `PERMITTED`."""
    return {name: _outcome(attempt) for name, attempt in ATTEMPTS.items()}


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as denied:
        return errno.errorcode.get(denied.errno or 0, "OSError")
    return PERMITTED
