"""Core: vLLM's engine core, a child process, from its start to its end."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from multiprocessing import resource_tracker
from pathlib import Path

from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.platforms import current_platform
from vllm.v1.engine.async_llm import AsyncLLM

from assay.errors import CheckpointError
from assay.rpc.environment import set_for_children

_LEASH = """
import os, shutil, signal, sys
from contextlib import suppress
mark, files = b"TMPDIR=" + os.fsencode(sys.argv[1]), sys.stdin.read().splitlines()
for file in files:
    with suppress(FileNotFoundError):
        os.unlink(file)
def kill(pid):
    with suppress(OSError):
        handle = os.pidfd_open(pid)
        with open(f"/proc/{pid}/environ", "rb") as file:
            if mark in file.read().split(bytes(1)):
                return signal.pidfd_send_signal(handle, signal.SIGKILL) is None
    return False
while any([kill(int(name)) for name in os.listdir("/proc") if name.isdigit()]):
    pass
shutil.rmtree(sys.argv[1], ignore_errors=True)
"""
"""When its standard input is closed: removes the files that it reads the names of, kills every process that has the
folder for its temporary files, and removes that."""


async def start(arguments: AsyncEngineArgs, folder: Path) -> AsyncLLM:
    """Returns once the weights are loaded. CheckpointError with vLLM's own words if it does not start.

    `folder`: where its processes put temporary files, some of which stay behind.
    """
    # On a CPU it compiles the rank of a token, which nobody asks for, anew for every other size of batch: seconds each.
    without_compiler = {"TORCHDYNAMO_DISABLE": "1"} if current_platform.is_cpu() else {}
    # By which the leash knows them; the title that they give themselves is written over it otherwise.
    temporary = {"TMPDIR": str(folder), "VLLM_RPC_BASE_PATH": str(folder), "SPT_NOENV": "1"}
    # Within Triton's stub this process's executable is no Python.
    multiprocessing.set_executable(f"{sys.prefix}/bin/python3")
    # It is this process's, whatever else ends with the engine.
    resource_tracker.ensure_running()
    try:
        with set_for_children({**temporary, **without_compiler}):
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
    """Ends vLLM's core and its workers (which outlive a core that is killed) with this process, however it ends, and
    from their start on."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="assay-"))
        """For the temporary files of all that is to end; removed with it."""
        self.pids: tuple[int, ...] = ()
        command = [f"{sys.prefix}/bin/python3", "-I", "-S", "-c", _LEASH, str(self.folder)]
        # Where this process ends, however it does, the other end of the pipe is closed. A session of its own, so that
        # what kills this process's group does not kill what cleans up.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, text=True)

    def hold(self, llm: AsyncLLM) -> None:
        """What it has in shared memory is removed as well, also if it is killed before."""
        manager = llm.engine_core.resources.engine_manager
        self.pids = tuple(pid for process in manager.processes for pid in _with_children(int(process.pid)))
        assert self._process.stdin is not None
        self._process.stdin.write("".join(f"{file}\n" for file in shared_memory(self.pids)))
        self._process.stdin.flush()

    def let_go(self) -> None:
        """Kills what is left of the core."""
        self._process.communicate()
