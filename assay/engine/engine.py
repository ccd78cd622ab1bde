"""Engine: several answers at once from one model, on threads of its own.

Forwards of a small language model are too small to be spread over cores: each worker, a thread with a scheduler and
caches of its own, advances some of the answers by itself. A worker that is alone at work has all cores for what is
large.
"""

import ctypes
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Barrier, Thread, current_thread

import torch

from assay.decoding.event_stream import CLOSING, CallbackEngine, EngineRequest
from assay.engine.model.loading import LoadedModel, load_model
from assay.engine.model.number_format import NumberFormatName, chosen_format
from assay.engine.model_runner import FEW_FLOPS, ModelRunner
from assay.engine.request_queue import RequestQueue
from assay.engine.scheduler import Scheduler
from assay.errors import ModelUnavailable


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How an engine is run."""

    max_in_flight: int = 8
    """Requests that are advanced together."""
    max_waiting: int = 32
    """Requests that wait until there is room; beyond them Busy."""
    threads: int | None = None
    """Of torch, shared by the workers; its own default if None."""
    cache_mib: int = 256
    """Size of the prefix and encoder caches, evicted least recently used first."""
    number_format: NumberFormatName = "auto"
    """In what numbers it computes: "stored" in the checkpoint's own, exactly; "bfloat16", or "int8" in the
    vision tower, quicker, and scores move in the second decimal; "auto" in what was measured for this processor and
    such a checkpoint (`model.number_format`)."""


STEPS_BETWEEN_TRIMS = 512
"""Tensors of ever new lengths leave holes in the C library's heap, which it does not give back by itself: several
hundred MiB an hour, with caches that do not grow (benchmarks/LOG.md). Giving them back takes milliseconds."""
REQUESTS_EACH = 4
"""In flight in a worker, at least: with fewer of them forwards are shared by too few."""
ROWS_EACH = 100
"""About as many do they read in a forward."""


def give_back_memory() -> None:
    """What this process has freed, to the system; nothing where the C library is not glibc."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


class Engine(CallbackEngine):
    """A Generator by our own forward, on a CPU."""

    def __init__(self, loaded: LoadedModel, options: EngineOptions) -> None:
        super().__init__(options.max_in_flight + options.max_waiting)
        number_format = chosen_format(loaded.model.config, options.number_format)
        if number_format != "stored":
            loaded = replace(loaded, fingerprint=f"{loaded.fingerprint}-{number_format}")
        self.checkpoint_fingerprint = loaded.fingerprint
        """Hash over weights, tokeniser and configuration, and the number format unless it is "stored": who wrote an
        answer."""
        threads = options.threads or torch.get_num_threads()
        first = ModelRunner(loaded.model, options.cache_mib << 20, number_format)
        is_small = ROWS_EACH * first.flops_a_row <= FEW_FLOPS
        workers = max(1, min(threads, options.max_in_flight // REQUESTS_EACH)) if is_small else 1
        self._queue = RequestQueue(workers, options.max_in_flight)
        self._runners = first.shared_by(workers)
        self._schedulers = [Scheduler(loaded, runner, self._forget) for runner in self._runners]
        self._running_workers, self._are_warm = workers, Barrier(workers)
        self._threads = [
            Thread(target=self._run, args=(worker, threads), name=f"assay-engine-{worker}", daemon=True)
            for worker in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @classmethod
    def load(cls, directory: Path, options: EngineOptions | None = None) -> "Engine":
        """Load the checkpoint in a directory and start.

        CheckpointError names the file, key or weight that is missing or misspelt, and says why a model cannot be run.
        Only safetensors are read; no code is.
        """
        return cls(load_model(Path(directory)), options or EngineOptions())

    @property
    def counters(self) -> Mapping[str, int]:
        """Cache hits, misses and sizes since the start, and what is in flight now."""
        now = {"running": sum(self._queue.in_flight), "waiting": len(self._queue)}
        batch = sum(scheduler.batch for scheduler in self._schedulers)
        cached = sum((Counter(runner.counters) for runner in self._runners), Counter[str]())
        return {**dict.fromkeys(self._runners[0].counters, 0), **cached, **now, "batch": batch}

    def _take_in(self, request: EngineRequest) -> None:
        self._queue.put(request)
        self._news.notify_all()

    def cancel(self, request_id: str) -> None:
        with self._news:
            if request := self._requests.get(request_id):
                request.is_cancelled = True

    def close(self) -> None:
        """Stop the threads. Requests that are not finished end in ModelUnavailable. May be called twice."""
        with self._news:
            self._is_closed = True
            self._news.notify_all()
        for thread in self._threads:
            if thread is not current_thread():
                thread.join()

    def _run(self, worker: int, threads: int) -> None:
        scheduler, runner, steps = self._schedulers[worker], self._runners[worker], 0
        torch.set_num_threads(threads)
        try:
            runner.warm_up()
            # One that is not ready yet would be the one with the least to do.
            self._are_warm.wait()
            while self._wait_for_work(worker):
                self._admit(worker)
                scheduler.drop_unwanted()
                if not scheduler.is_idle:
                    is_alone = self._queue.in_flight[worker] == sum(self._queue.in_flight)
                    runner.threads = threads if is_alone else threads // len(self._threads)
                    scheduler.step()
                    steps += 1
                    if steps % STEPS_BETWEEN_TRIMS == 0:
                        give_back_memory()
        finally:
            self._leave()

    def _wait_for_work(self, worker: int) -> bool:
        """False when the engine is closed."""
        scheduler = self._schedulers[worker]
        with self._news:
            self._news.wait_for(lambda: self._is_closed or not scheduler.is_idle or self._queue.has_for(worker))
            return not self._is_closed

    def _admit(self, worker: int) -> None:
        scheduler = self._schedulers[worker]
        with self._news:
            unwanted = self._queue.drop(scheduler.is_unwanted)
            admitted = self._queue.take(worker)
            if len(self._queue):
                # What is left may be another's now.
                self._news.notify_all()
        # Outside of the lock: listeners may call back.
        for request in unwanted:
            scheduler.end(request, scheduler.why_unwanted(request))
        for request in admitted:
            scheduler.admit(request)

    def _forget(self, request_id: str) -> None:
        with self._news:
            self._requests.pop(request_id, None)
            self._queue.end(request_id)
            # Others may have waited for a worker that has room again, or for the one that has least to do.
            self._news.notify_all()

    def _leave(self) -> None:
        """A worker has ended, and the engine with it; the last one tells those that wait for an answer."""
        self._are_warm.abort()
        with self._news:
            self._is_closed = True
            self._news.notify_all()
            self._running_workers -= 1
            unfinished = [] if self._running_workers else list(self._requests.values())
        for request in unfinished:
            last = None if request.is_cancelled else ModelUnavailable(CLOSING)
            self._schedulers[0].end(request, last)
