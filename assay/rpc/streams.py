"""Streams of one call: tasks put items into its outbox, and one writer takes those that are ready, in batches.

Between programs a message costs more than its content, so the items that are ready at one moment travel in one.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from assay.v1 import event_pb2, live_pb2

T = TypeVar("T")
R = TypeVar("R")
"""A response that holds events."""
E = TypeVar("E", event_pb2.ScoreEvent, live_pb2.LiveEvent)
Put = Callable[[T], Awaitable[None]]
"""Takes an item; returns once there is room for the next one."""
_MAX_UNREAD = 64
"""Items that were not read yet; with more of them the writer has to wait."""


@dataclass(frozen=True, slots=True)
class _End:
    error: Exception | None


async def batches(
    produce: Callable[[Put[T]], Coroutine[Any, Any, None]], silence_seconds: float | None = None
) -> AsyncGenerator[list[T], None]:
    """What `produce` puts: as many items as are ready at a time, at least one; none after `silence_seconds` of silence.

    Raises what `produce` raises, after its items. Closing it cancels `produce`.
    """
    outbox: asyncio.Queue[T | _End] = asyncio.Queue(_MAX_UNREAD)

    async def run() -> None:
        error = None
        try:
            await produce(outbox.put)
        except Exception as raised:  # noqa: BLE001 raised again where the items are read
            error = raised
        await outbox.put(_End(error))

    # In a task of its own, which goes on until it has to wait; the reader is woken only then.
    running = asyncio.create_task(run())
    try:
        while True:
            ready = await _ready(outbox, silence_seconds)
            batch = [item for item in ready if not isinstance(item, _End)]
            if batch or not ready:
                yield batch
            if ready and isinstance(end := ready[-1], _End):
                if end.error is not None:
                    raise end.error
                return
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def responses(
    response: Callable[..., R],
    event: type[E],
    produce: Callable[[Put[E]], Coroutine[Any, Any, None]],
    silence_seconds: float,
) -> AsyncGenerator[R, None]:
    """The one writer of a call: numbers the events, writes those that are ready in one message, fills silence."""
    sequence = 0
    async with aclosing(batches(produce, silence_seconds)) as ready:
        async for batch in ready:
            events = batch or [event(heartbeat=event_pb2.Heartbeat())]
            for sequence, each in enumerate(events, start=sequence + 1):  # noqa: B020 it goes on
                each.sequence = sequence
            yield response(events=events)


async def _ready(outbox: asyncio.Queue[T], silence_seconds: float | None) -> list[T]:
    """All that is there; waits for the first, but not for longer than `silence_seconds`."""
    items = []
    if outbox.empty():
        try:
            # Not wait_for: in Python 3.11 it swallows a cancellation that arrives together with the item.
            async with asyncio.timeout(silence_seconds):
                items.append(await outbox.get())
        except TimeoutError:
            return []
    while not outbox.empty():
        items.append(outbox.get_nowait())
    return items


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """A TaskGroup that raises its first error as it is, and not in a group: each error has one status."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


class Turns(Generic[T]):
    """Puts the items of writers that work at the same time one writer after the other.

    What a writer puts before its turn waits in memory.
    """

    def __init__(self, put: Put[T]) -> None:
        self._put = put
        self._writers: deque[Turn[T]] = deque()

    def begin(self) -> "Turn[T]":
        """The next writer's."""
        turn = Turn(self)
        turn.is_on = not self._writers
        self._writers.append(turn)
        return turn

    async def put_now(self, item: T) -> None:
        await self._put(item)

    async def go_on(self) -> None:
        """To be called when the first writer has ended: puts what the next ones have written meanwhile."""
        self._writers.popleft()
        while self._writers:
            turn = self._writers[0]
            while turn.waiting:
                await self._put(turn.waiting.popleft())
            if not turn.has_ended:
                turn.is_on = True
                return
            self._writers.popleft()


class Turn(Generic[T]):
    """One writer's turn."""

    def __init__(self, turns: Turns[T]) -> None:
        self._turns = turns
        self.is_on = False
        """Every writer before this one has ended, and nothing waits."""
        self.has_ended = False
        self.waiting: deque[T] = deque()

    async def put(self, item: T) -> None:
        if self.is_on:
            await self._turns.put_now(item)
        else:
            self.waiting.append(item)

    async def end(self) -> None:
        """Nothing comes after this."""
        self.has_ended = True
        if self.is_on:
            await self._turns.go_on()
