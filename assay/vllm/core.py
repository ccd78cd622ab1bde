"""Core: vLLM's engine core, a child process, from its start to its end."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from assay.errors import AssayError, CheckpointError
from assay.rpc.environment import set_for_children
from assay.vllm.messages import CoreReady, VllmOptions

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


_SERVE = "import sys; from assay.vllm.serving import serve; serve(int(sys.argv[1]))"
_VARIABLES = {
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_HOST_IP": "127.0.0.1",
    # On a CPU the decoder and the services use the same cores: none is bound to a thread.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    # Threads that wait by spinning take the cores from those that compute.
    "OMP_WAIT_POLICY": "PASSIVE",
}
"""It neither asks a hub nor reports to anyone."""


def start(directory: Path, options: VllmOptions, folder: Path) -> tuple[subprocess.Popen[bytes], Connection, CoreReady]:
    """Returns once the weights are loaded. AssayError with vLLM's own words if it does not start.

    `folder`: where its processes put temporary files, some of which stay behind.
    """
    # By which the leash knows them; the title that they give themselves is written over it otherwise.
    temporary = {"TMPDIR": str(folder), "VLLM_RPC_BASE_PATH": str(folder), "SPT_NOENV": "1"}
    here, there = multiprocessing.Pipe()
    # Within Triton's stub this process's executable is no Python. This process loads neither vLLM nor torch.
    command = [f"{sys.prefix}/bin/python3", "-c", _SERVE, str(there.fileno())]
    with set_for_children(_VARIABLES | temporary | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[there.fileno()])
    there.close()
    try:
        here.send((directory, options))
        ready = here.recv()
    except (EOFError, OSError) as ended:
        raise CheckpointError("vLLM does not start with this checkpoint: its process has ended by itself") from ended
    if isinstance(ready, AssayError):
        raise ready
    return process, here, ready


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

    def hold(self, pid: int) -> None:
        """What it and its children have in shared memory is removed as well, also if they are killed before."""
        self.pids = tuple(_with_children(pid))
        assert self._process.stdin is not None
        self._process.stdin.write("".join(f"{file}\n" for file in shared_memory(self.pids)))
        self._process.stdin.flush()

    def let_go(self) -> None:
        """Kills what is left of the core."""
        self._process.communicate()
