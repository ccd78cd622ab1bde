"""Core: vLLM's engine core, a child process, from its start to its end."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.v1.engine.async_llm import AsyncLLM

from assay.errors import CheckpointError

_LEASH = """
import contextlib, os, signal, sys
handles = [os.pidfd_open(int(pid)) for pid in sys.argv[1].split()]
os.read(0, 1)
for file in sys.argv[2:]:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(file)
for handle in handles:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, signal.SIGKILL)
"""
"""Removes the files and kills the processes that it is given when its standard input is closed."""


async def start(arguments: AsyncEngineArgs) -> AsyncLLM:
    """Returns once the weights are loaded. CheckpointError with vLLM's own words if it does not start."""
    # Within Triton's stub this process's executable is no Python.
    multiprocessing.set_executable(f"{sys.prefix}/bin/python3")
    try:
        return AsyncLLM.from_engine_args(arguments)
    except (RuntimeError, ValueError, OSError) as failure:
        raise CheckpointError(f"vLLM does not start with this checkpoint: {failure}") from failure


def _with_children(pid: int) -> Iterator[int]:
    """The process and all that it started, as the kernel lists them."""
    yield pid
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in listed.read_text().split():
            yield from _with_children(int(child))


def shared_memory(pids: Iterable[int]) -> set[str]:
    """Files in /dev/shm that these processes have mapped, which stay behind when vLLM is killed, and some after that.

    By inode: who makes a semaphore has it mapped under glibc's temporary name, not under the one that remains.
    """
    lines = [line for pid in pids for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    inodes = {line.split()[4] for line in lines if "/dev/shm/" in line}
    with os.scandir("/dev/shm") as files:
        return {file.path for file in files if str(file.inode()) in inodes}


class Leash:
    """Ends vLLM's core and its workers (which outlive a core that is killed) with this process, however it ends."""

    def __init__(self, llm: AsyncLLM) -> None:
        manager = llm.engine_core.resources.engine_manager
        self.pids = tuple(pid for process in manager.processes for pid in _with_children(int(process.pid)))
        what = " ".join(map(str, self.pids)), *shared_memory(self.pids)
        command = [f"{sys.prefix}/bin/python3", "-I", "-S", "-c", _LEASH, *what]
        # Where this process ends, however it does, the other end of the pipe is closed. A session of its own, so that
        # what kills this process's group does not kill what cleans up.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def let_go(self) -> None:
        """Kills what is left of the core."""
        self._process.communicate()
