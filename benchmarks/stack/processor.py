"""Processor time of this process and of all that it has started: what a busy machine changes least."""

import os
from pathlib import Path

from triton_server.processes import children_of

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds() -> float:
    """Since each of them started, of those that live."""
    return sum(map(_cpu_seconds, _with_all_below(os.getpid())))


def _with_all_below(pid: int) -> list[int]:
    return [pid, *(each for child in children_of(pid) for each in _with_all_below(child.pid))]


def _cpu_seconds(pid: int) -> float:
    try:
        # Behind the name, which may hold spaces: utime and stime are the 14th and 15th of all fields.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0  # It has ended since it was listed.
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND
