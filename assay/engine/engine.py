"""Engine: several answers at once from one model, on one thread of its own."""

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread, current_thread

import torch

from assay.decoding.event_stream import CLOSING, CallbackEngine, EngineRequest
from assay.engine.model.loading import LoadedModel, load_model
from assay.engine.model.number_format import NumberFormatName, chosen_format
from assay.engine.model_runner import ModelRunner
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
    """Of torch; its own default if None."""
    cache_mib: int = 256
    """Size of the prefix and encoder caches, evicted least recently used first."""
    number_format: NumberFormatName = "auto"
    """In what numbers it computes: "stored" in the checkpoint's own, exactly; "bfloat16", or "int8" in the
    vision tower, quicker, and scores move in the second decimal; "auto" in what was measured for this processor and
    such a checkpoint (`model.number_format`)."""


STEPS_BETWEEN_TRIMS = 512
"""Tensors of ever new lengths leave holes in the C library's heap, which it does not give back by itself: several
hundred MiB an hour, with caches that do not grow (benchmarks/LOG.md). Giving them back takes milliseconds."""


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
        self._runner = ModelRunner(loaded.model, options.cache_mib << 20, number_format)
        self._scheduler = Scheduler(loaded, self._runner, options.max_in_flight, self._forget)
        self._waiting: list[EngineRequest] = []
        self._thread = Thread(target=self._run, args=(options.threads,), name="assay-engine", daemon=True)
        self._thread.start()

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
        running, waiting = self._scheduler.running, len(self._waiting)
        return {**self._runner.counters, "running": running, "waiting": waiting, "batch": self._scheduler.batch}

    def _take_in(self, request: EngineRequest) -> None:
        self._waiting.append(request)
        self._news.notify()

    def cancel(self, request_id: str) -> None:
        with self._news:
            if request := self._requests.get(request_id):
                request.is_cancelled = True

    def close(self) -> None:
        """Stop the thread. Requests that are not finished end in ModelUnavailable. May be called twice."""
        with self._news:
            self._is_closed = True
            self._news.notify()
        if self._thread is not current_thread():
            self._thread.join()

    def _run(self, threads: int | None) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        steps = 0
        try:
            self._runner.warm_up()
            while self._wait_for_work():
                self._admit()
                self._scheduler.drop_unwanted()
                if not self._scheduler.is_idle:
                    self._scheduler.step()
                    steps += 1
                    if steps % STEPS_BETWEEN_TRIMS == 0:
                        give_back_memory()
        finally:
            self._end_all()

    def _wait_for_work(self) -> bool:
        """False when the engine is closed."""
        with self._news:
            self._news.wait_for(lambda: self._is_closed or self._waiting or not self._scheduler.is_idle)
            return not self._is_closed

    def _admit(self) -> None:
        with self._news:
            unwanted = [request for request in self._waiting if self._scheduler.is_unwanted(request)]
            waiting = [request for request in self._waiting if request not in unwanted]
            admitted = sorted(waiting, key=lambda request: -request.priority)[: self._scheduler.room]
            self._waiting = [request for request in waiting if request not in admitted]
        # Outside of the lock: listeners may call back.
        for request in unwanted:
            self._scheduler.end(request, self._scheduler.why_unwanted(request))
        for request in admitted:
            self._scheduler.admit(request)

    def _forget(self, request_id: str) -> None:
        with self._news:
            self._requests.pop(request_id, None)

    def _end_all(self) -> None:
        with self._news:
            self._is_closed = True
            unfinished = list(self._requests.values())
        for request in unfinished:
            last = None if request.is_cancelled else ModelUnavailable(CLOSING)
            self._scheduler.end(request, last)
