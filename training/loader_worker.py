"""Loader worker: a process that prepares batches, and that must not outlive the training it prepares them for."""

import multiprocessing
import os
from threading import Thread


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
