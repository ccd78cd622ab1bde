"""VllmEngine: a Generator whose model runs in vLLM's core, a process of its own."""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from threading import Thread

from assay.decoding.event_stream import CLOSING, CallbackEngine, EngineRequest
from assay.errors import ModelUnavailable
from assay.vllm.core import Leash, start
from assay.vllm.messages import (
    STOPPED,
    CoreCancel,
    CoreCounters,
    CoreNews,
    CoreProgress,
    CoreRequest,
    VllmOptions,
    is_end,
)
from assay.vllm.support import check_checkpoint, check_release

_log = logging.getLogger(__name__)


class VllmEngine(CallbackEngine):
    """Passes requests on to the core, and what comes of them back. Vision is part of the prefill."""

    def __init__(self, directory: Path, options: VllmOptions, on_death: Callable[[], None]) -> None:
        super().__init__(options.max_in_flight + options.max_waiting)
        self._on_death, self._counters = on_death, CoreCounters()
        self._leash = Leash()
        try:
            self._process, self._connection, ready = start(directory, options, self._leash.folder)
        except BaseException:
            self._leash.let_go()
            raise
        self._leash.hold(self._process.pid)
        self.checkpoint_fingerprint = ready.checkpoint_fingerprint
        """Hash over weights, tokeniser and configuration: who wrote an answer."""
        self._thread = Thread(target=self._listen, name="assay-vllm", daemon=True)
        self._thread.start()

    @classmethod
    def load(
        cls, directory: Path, options: VllmOptions | None = None, *, on_death: Callable[[], None] = lambda: None
    ) -> "VllmEngine":
        """Start vLLM with the checkpoint in a directory. `on_death` is called if its process ends by itself.

        CheckpointError names the file or key at fault, and what vLLM would not run as it was trained; SettingsError a
        vLLM of a release that was not tested.
        """
        directory, options = Path(directory), options or VllmOptions()
        check_release()
        check_checkpoint(directory, options.tensor_parallel)
        return cls(directory, options, on_death)

    @property
    def counters(self) -> Mapping[str, int]:
        """As the other engine's: of the tokens of all requests to vLLM, how many were cached; and what is in flight."""
        return asdict(self._counters)

    def _take_in(self, request: EngineRequest) -> None:
        asks = request.clip, request.conversation, request.form
        try:
            self._connection.send(CoreRequest(request.request_id, *asks, request.priority, request.deadline_seconds))
        except OSError as ended:
            del self._requests[request.request_id]
            raise ModelUnavailable(STOPPED) from ended

    def cancel(self, request_id: str) -> None:
        with self._news, suppress(OSError):
            if request_id in self._requests:
                self._connection.send(CoreCancel(request_id))

    def close(self) -> None:
        """Stop vLLM. Requests that are not finished end in ModelUnavailable. May be called twice."""
        with self._news:
            if self._is_closed:
                return
            self._is_closed = True
        self._leash.let_go()
        self._thread.join()
        self._process.wait()

    def _listen(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                news: CoreNews = self._connection.recv()
                self._counters = news.counters
                for progress in news.progress:
                    self._pass_on(progress)
        with self._news:
            # Whatever is asked of it from now on is refused.
            self._connection.close()
            is_closed, left = self._is_closed, [*self._requests]
        for request_id in left:
            self._pass_on(CoreProgress(request_id, "queue", (ModelUnavailable(CLOSING if is_closed else STOPPED),)))
        if not is_closed:
            _log.error("vLLM's process has ended by itself")
            self._on_death()

    def _pass_on(self, progress: CoreProgress) -> None:
        request = self._requests.get(progress.request_id)
        if request is None:
            return
        is_last = bool(progress.events) and is_end(progress.events[-1])
        request.stages.begin(None if is_last else progress.stage)
        if not progress.events:
            return
        if is_last:
            with self._news:
                del self._requests[progress.request_id]
        try:
            request.on_events(progress.events)
        except Exception:  # noqa: BLE001 - whatever is wrong with one listener must not end the others
            # Most often it has left: a closed event loop, a broken connection.
            _log.warning("its listener failed", exc_info=True, extra={"facts": {"request_id": request.request_id}})
            self.cancel(request.request_id)
