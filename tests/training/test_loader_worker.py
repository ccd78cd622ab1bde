"""A training that is stopped takes its loader's workers with it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from torch.utils.data import DataLoader

from training.loader_worker import batches_of

TRAINING = """
import os, sys, time
import numpy as np
from torch.utils.data import DataLoader, Dataset
from training.loader_worker import end_with_training

class Batches(Dataset):
    def __len__(self):
        return 100
    def __getitem__(self, step):
        # More than a pipe holds, as a batch of pictures is.
        return os.getpid(), np.zeros(1 << 20, np.uint8).tobytes()

loader = DataLoader(Batches(), batch_size=None, num_workers=2, worker_init_fn=end_with_training)
steps = iter(loader)
print(next(steps)[0], next(steps)[0], flush=True)
time.sleep(60)
"""


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def is_handled(number: int) -> bool:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text("ascii").splitlines())
    return bool(int(status["SigCgt"], 16) >> number - 1 & 1)


def test_the_end_of_a_worker_calls_no_handler() -> None:
    batches = list(batches_of(DataLoader([1, 2], batch_size=None, num_workers=1)))  # type: ignore[arg-type]
    assert (batches, is_handled(signal.SIGCHLD)) == ([1, 2], False)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_training_that_started_them(how: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", TRAINING], stdout=subprocess.PIPE, text=True) as training:
        assert training.stdout is not None
        workers = {int(pid) for pid in training.stdout.readline().split()}
        assert len(workers) == 2
        assert all(map(is_running, workers))
        training.send_signal(how)
        training.wait(10)
        until = time.monotonic() + 20
        while (left := [pid for pid in workers if is_running(pid)]) and time.monotonic() < until:
            time.sleep(0.05)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []
