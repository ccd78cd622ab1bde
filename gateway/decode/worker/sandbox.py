"""What a decode worker takes from itself before it sees the first byte of an upload, and cannot get back.

Four nets, none of which needs the others: another user (where the gateway is root), Landlock without a single path,
resource limits, and a list of the only system calls that decoding needs. Whatever code a crafted file may smuggle into
FFmpeg can compute, use the memory that it has, and answer the gateway.

Every worker then tries to break out, in the very process that decodes, and says how far it came: the gateway lends none
that got through anywhere.
"""

import ctypes
import errno
import mmap
import os
import resource
import signal
import socket
from collections.abc import Callable

import pyseccomp

from gateway.decode.protocol import PERMITTED

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446
_LANDLOCK_VERSION = 1
"""Flag of the first: answer with the version that the kernel speaks."""
_NOBODY = 65534
_F_DUPFD_CLOEXEC = 1030
_CLONE_THREAD, _CLONE_NEWUSER = 0x10000, 0x10000000
_MOST_TASKS = 4096
"""Processes and threads that this user may have on the whole machine, ours and all others."""

_ALLOWED = (
    # the socket to the gateway, /proc/self/statm (opened before), stderr
    *("read", "write", "recvfrom", "sendto", "pread64", "close", "fstat", "newfstatat", "lseek"),
    # memory; without PROT_EXEC, see below
    *("munmap", "mremap", "madvise", "brk"),
    *("futex", "clock_gettime", "clock_nanosleep", "gettimeofday", "getrusage", "getrandom"),
    *("sched_yield", "sched_getaffinity", "getpid", "gettid", "rseq", "membarrier"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall", "exit", "exit_group"),
    "set_robust_list",
)


class SandboxError(Exception):
    """This machine cannot lock a decoder up; the message says what is missing."""


def lock_up() -> int:
    """Give up everything that decoding does not need. Import and open first; afterwards nothing can be.

    Returns the version of Landlock. A kernel without it (before 5.13, or not built in) returns 0 and goes on: no
    system call that names a path is left in any case, and the gateway says so or refuses.
    Raises `SandboxError` if another of the nets cannot be put up.
    """
    _limit()
    _become_nobody()
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # after the change of user, which clears it
    if _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise SandboxError(f"prctl(PR_SET_NO_NEW_PRIVS): {os.strerror(ctypes.get_errno())}")
    version = landlock_version()
    if version:
        _close_all_paths(version)
    _allow_few_calls()
    return version


def _limit() -> None:
    """For the whole life of the process; processor time and memory depend on the job."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _become_nobody() -> None:
    """Where the gateway runs as root; elsewhere the worker stays who the gateway is."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    # As nobody or another user; root would not be bound by it. The filter of system calls permits threads only.
    resource.setrlimit(resource.RLIMIT_NPROC, (_MOST_TASKS, _MOST_TASKS))


class _Ruleset(ctypes.Structure):
    """struct landlock_ruleset_attr: kinds of access that are denied unless a rule allows them."""

    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


def landlock_version() -> int:
    """0 if the kernel has no Landlock."""
    return max(0, int(_LIBC.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION)))


def _close_all_paths(version: int) -> None:
    """Landlock with everything that the kernel knows to deny, and not one exception."""
    kinds_of_fs_access = 13 + (version >= 2) + (version >= 3) + (version >= 5)
    everything = _Ruleset(
        fs=(1 << kinds_of_fs_access) - 1,
        net=0b11 if version >= 4 else 0,  # bind and connect of TCP
        scoped=0b11 if version >= 6 else 0,  # abstract Unix sockets and signals to others
    )
    ruleset = _LIBC.syscall(_LANDLOCK_CREATE_RULESET, ctypes.byref(everything), ctypes.sizeof(everything), 0)
    if ruleset < 0 or _LIBC.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0):
        raise SandboxError(f"Landlock {version}: {os.strerror(ctypes.get_errno())}")
    os.close(ruleset)


def _allow_few_calls() -> None:
    """Seccomp: any other call fails with EPERM."""
    calls = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.EPERM))
    for name in _ALLOWED:
        calls.add_rule(pyseccomp.ALLOW, name)
    # Memory that can be executed is what a smuggled program would need.
    not_executable = pyseccomp.Arg(2, pyseccomp.MASKED_EQ, mmap.PROT_EXEC, 0)
    calls.add_rule(pyseccomp.ALLOW, "mmap", not_executable)
    calls.add_rule(pyseccomp.ALLOW, "mprotect", not_executable)
    # The decoder of HEIC starts a thread and dies if it gets none; a process is never started. The flags of clone3 lie
    # in memory where no filter can look, and without it the C library takes clone.
    calls.add_rule(pyseccomp.ALLOW, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _CLONE_THREAD, _CLONE_THREAD))
    calls.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    # `mmap` of the slots for frames duplicates their descriptor.
    calls.add_rule(pyseccomp.ALLOW, "fcntl", pyseccomp.Arg(1, pyseccomp.EQ, _F_DUPFD_CLOEXEC))
    # Its own limits, for `limit_job`; its own death, for abort().
    calls.add_rule(pyseccomp.ALLOW, "prlimit64", pyseccomp.Arg(0, pyseccomp.EQ, 0))
    calls.add_rule(pyseccomp.ALLOW, "tgkill", pyseccomp.Arg(0, pyseccomp.EQ, os.getpid()))
    try:
        calls.load()
    except OSError as problem:
        raise SandboxError(f"seccomp: {problem.strerror}; the kernel needs CONFIG_SECCOMP_FILTER") from problem


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
