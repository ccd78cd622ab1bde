"""Loader worker: a process that prepares batches, and that must not outlive the training it prepares them for."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from threading import Thread
from typing import Any

from torch.utils.data import DataLoader


def end_with_training(_number: int) -> None:
    """A DataLoader's worker_init_fn: the worker ends as soon as the training process does, however that came about.

    PyTorch's workers look for their parent as well, but then wait, for ever, until somebody has read the batches that
    are ready; the next run would find a core and a few hundred megabytes taken.
    """
    training = multiprocessing.parent_process()
    assert training is not None, "a worker was started by somebody"

    def watch() -> None:
        training.join()
        # sys.exit would end this thread alone, and flushing is what the worker would wait in.
        os._exit(1)

    Thread(target=watch, name="training-watch", daemon=True).start()


def batches_of(loader: "DataLoader[Any]") -> Iterator[Any]:
    """The batches of a loader, without PyTorch's handler of SIGCHLD. To be called in the main thread.

    Linux 6.18 in a virtual machine now and then ends a process that has a signal to handle: the kernel gives up when it
    has to fetch a page for the handler's frame (measured: half of the trainings of a minute, at their workers' end).
    Without the handler no frame is needed. A worker that dies is found by the loader's own look every five seconds.
    """
    batches = iter(loader)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    yield from batches
