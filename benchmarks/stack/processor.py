"""Processor time of this process and of all that it has started: what a busy machine changes least."""

import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

THIS = "client"
"""What this process is called: the client runs in it, and so does the engine that is asked alone."""

Cpu = Mapping[str, float]
"""Program to the processor seconds of all its processes."""


def cpu_seconds() -> dict[str, float]:
    """Since each of them started, of those that live."""
    this, spent = psutil.Process(), defaultdict[str, float](float)
    for process in (this, *this.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # it may end meanwhile
            times = process.cpu_times()
            spent[THIS if process == this else _program(process)] += times.user + times.system
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


def _program(process: psutil.Process) -> str:
    """The module behind -m, or the name of what was started: gateway.decode.worker, tritonserver."""
    words = process.cmdline() or [process.name()]
    if "-m" in words:
        return str(words[words.index("-m") + 1])
    return Path(next((word for word in words if word.endswith(".py")), words[0])).name
