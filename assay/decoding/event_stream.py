"""EventStream: an engine that calls back from its own thread, as an asynchronous generator."""

import asyncio
import math
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from threading import Condition
from typing import Literal

from assay.errors import AssayError, Busy, InvalidRequest, ModelUnavailable
from assay.form import Form
from assay.frame import Clip
from assay.generator import Conversation, Event, Finished

CLOSING = "the model is shutting down"
EngineEvent = Event | AssayError | None
"""The last one is Finished, an error, or None: was cancelled."""
OnEvents = Callable[[Sequence[EngineEvent]], None]
"""Is called with events in order, all that come of one forward at once."""

Stage = Literal["queue", "vision", "prefill", "decode steps"]
OnStage = Callable[[Stage, float, float], None]
"""Is called with a stage that has ended: its name, begin and end by time.monotonic()."""


class StageClock:
    """Times the stages of one generation, each from the end of the one before."""

    def __init__(self, on_stage: OnStage | None) -> None:
        self._on_stage = on_stage
        self._stage: Stage | None = "queue"
        self._began_seconds = time.monotonic()

    def begin(self, stage: Stage | None) -> None:
        """None: the last one has ended."""
        if stage == self._stage:
            return
        now = time.monotonic()
        if self._on_stage and self._stage:
            self._on_stage(self._stage, self._began_seconds, now)
        self._stage, self._began_seconds = stage, now


@dataclass(slots=True, eq=False)
class EngineRequest:
    """One generation that was asked for."""

    request_id: str
    clip: Clip
    conversation: Conversation
    form: Form
    on_events: OnEvents
    priority: int = 0
    """Higher ones are admitted first, and prefilled first."""
    deadline_seconds: float = math.inf
    """By time.monotonic(); one that cannot end by then is dropped."""
    stages: StageClock = field(default_factory=lambda: StageClock(None))
    is_cancelled: bool = False
    """Set by any thread; read between two forwards."""


class CallbackEngine(ABC):
    """A Generator in this process. Its methods may be called from any thread."""

    def __init__(self, capacity: int) -> None:
        """`capacity`: requests that are in flight or wait."""
        self._capacity = capacity
        self._news = Condition()
        self._requests: dict[str, EngineRequest] = {}
        self._is_closed = False

    def submit(
        self,
        request_id: str,
        clip: Clip,
        conversation: Conversation,
        form: Form,
        on_events: OnEvents,
        *,
        priority: int = 0,
        deadline_seconds: float = math.inf,
        on_stage: OnStage | None = None,
    ) -> None:
        """Ask for an answer; returns at once. Higher priorities are taken first; of equal ones a conversation that goes
        on (somebody has been waiting for it), then in order.

        By `deadline_seconds` (time.monotonic()) it ends, or OutOfTime comes as soon as it is clear that it cannot.
        `on_stage` is called on the engine's thread with each stage that has ended.

        `on_events` is called on the engine's thread: events in order, those that come of one forward at once, and last
        of all Finished, or one AssayError, or None if the request was cancelled. If it raises, its request is cancelled
        (and it gets None).
        Busy if the queue is full, InvalidRequest if the id is in use, ModelUnavailable after close.
        """
        rank, stages = 2 * priority + bool(conversation.answered), StageClock(on_stage)
        request = EngineRequest(request_id, clip, conversation, form, on_events, rank, deadline_seconds, stages)
        with self._news:
            if self._is_closed:
                raise ModelUnavailable(CLOSING)
            if request_id in self._requests:
                raise InvalidRequest(f"request id {request_id!r} is in use", field="request_id")
            if len(self._requests) >= self._capacity:
                raise Busy(f"{len(self._requests)} requests are in flight or waiting, and there is room for no more")
            self._requests[request_id] = request
            self._take_in(request)

    @abstractmethod
    def _take_in(self, request: EngineRequest) -> None:
        """It waits from now on. Called with the lock."""

    @abstractmethod
    def cancel(self, request_id: str) -> None:
        """Stop a request before its next forward. Unknown ids are ignored: it may just have come to its end."""

    async def generate(self, clip: Clip, conversation: Conversation, form: Form) -> AsyncGenerator[Event, None]:
        """The Generator port: events as they are made, Finished last; an AssayError is raised. aclose() cancels."""
        loop, request_id = asyncio.get_running_loop(), uuid.uuid4().hex
        queue: asyncio.Queue[Sequence[EngineEvent]] = asyncio.Queue()

        def on_events(events: Sequence[EngineEvent]) -> None:
            loop.call_soon_threadsafe(queue.put_nowait, events)

        self.submit(request_id, clip, conversation, form, on_events)
        try:
            while True:
                for event in await queue.get():
                    if event is None:
                        return
                    if isinstance(event, AssayError):
                        raise event
                    yield event
                    if isinstance(event, Finished):
                        return
        finally:
            self.cancel(request_id)
