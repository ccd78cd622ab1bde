"""Processor time of this process and of all that it has started: what a busy machine changes least."""

import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

THIS = "client"
"""What this process is called: the client runs in it, and so does the engine that is asked alone."""
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")

Cpu = Mapping[str, float]
"""Program to the processor seconds of all its processes."""


def cpu_seconds() -> dict[str, float]:
    """Since each of them started, of those that live."""
    # One look at /proc for all: several would cost this very process more than it asks about.
    read = {pid: fields for pid in _pids() if (fields := _stat(pid))}
    spent = defaultdict[str, float](float)
    for pid in _with_all_below(os.getpid(), read):
        # Fields are counted from the one behind the name: utime and stime are the 14th and 15th of all.
        spent[_program(pid)] += (int(read[pid][11]) + int(read[pid][12])) / _TICKS_A_SECOND
    return spent


def cpu_since(before: Cpu) -> dict[str, float]:
    """Seconds by program since an earlier cpu_seconds()."""
    return {name: seconds - before.get(name, 0.0) for name, seconds in cpu_seconds().items()}


def idle_rates(seconds: float) -> dict[str, float]:
    """Processor seconds a second by program while nobody asks anything: canaries, health, metrics, watching."""
    before, started = cpu_seconds(), time.perf_counter()
    time.sleep(seconds)
    spent, took = cpu_since(before), time.perf_counter() - started
    return {name: each / took for name, each in spent.items()}


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _stat(pid: int) -> list[str]:
    """What stands behind the name, which may itself hold spaces; nothing if the process has ended meanwhile."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _with_all_below(pid: int, read: Mapping[int, list[str]]) -> Iterator[int]:
    yield pid
    for child, fields in read.items():
        if int(fields[1]) == pid:
            yield from _with_all_below(child, read)


def _program(pid: int) -> str:
    """The module behind -m, or the name of what was started: gateway.decode.worker, tritonserver."""
    if pid == os.getpid():
        return THIS
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return "ended"
    if "-m" in words:
        return words[words.index("-m") + 1]
    script = next((word for word in words if word.endswith(".py")), words[0])
    return Path(script).name
