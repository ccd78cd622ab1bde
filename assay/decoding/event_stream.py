"""EventStream: an engine that calls back from its own thread, as an asynchronous generator."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Literal, Protocol

from assay.errors import AssayError
from assay.form import Form
from assay.frame import Clip
from assay.generator import Conversation, Event, Finished

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


class CallbackEngine(Protocol):
    """What both engines are. Their methods may be called from any thread."""

    def submit(
        self, request_id: str, clip: Clip, conversation: Conversation, form: Form, on_events: OnEvents
    ) -> None: ...

    def cancel(self, request_id: str) -> None: ...


async def stream_events(
    engine: CallbackEngine, clip: Clip, conversation: Conversation, form: Form
) -> AsyncGenerator[Event, None]:
    """Events as they are made, Finished last; an AssayError is raised. aclose() cancels."""
    loop, request_id = asyncio.get_running_loop(), uuid.uuid4().hex
    queue: asyncio.Queue[Sequence[EngineEvent]] = asyncio.Queue()

    def on_events(events: Sequence[EngineEvent]) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, events)

    engine.submit(request_id, clip, conversation, form, on_events)
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
        engine.cancel(request_id)
