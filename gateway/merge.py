"""Several streams -> one. What arrives is passed on; the first error ends everything and is raised."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TypeVar

from assay.rpc.inbox import End, fill

T = TypeVar("T")
_WAITING = 16
"""Items that wait to be read before their stream is held back."""


class _Running(AsyncIterator[T]):
    """A stream that runs ahead of its reader in a task of its own."""

    def __init__(self, stream: AsyncGenerator[T, None], waiting: int = 0) -> None:
        self._items: asyncio.Queue[T | End] = asyncio.Queue(waiting)
        self._task = asyncio.create_task(fill(self._items, stream))

    async def __anext__(self) -> T:
        item = await self._items.get()
        if isinstance(item, End):
            raise item.error or StopAsyncIteration
        return item

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def merged(*streams: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """Items of all streams in the order in which they come. Closing it closes every stream."""
    inbox: asyncio.Queue[T | End] = asyncio.Queue(_WAITING)
    pumps = [asyncio.create_task(fill(inbox, stream)) for stream in streams]
    try:
        running = len(pumps)
        while running:
            item = await inbox.get()
            if not isinstance(item, End):
                yield item
            elif item.error:
                raise item.error
            else:
                running -= 1
    finally:
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def in_turn(streams: AsyncGenerator[AsyncGenerator[T, None], None], at_once: int) -> AsyncGenerator[T, None]:
    """Items of the first stream, then of the second, and so on, while up to `at_once` of them run.

    A stream that runs before its turn keeps its items in memory. `streams` is held back while all places are taken.
    """
    places = asyncio.Semaphore(at_once)
    opened: deque[_Running[T]] = deque()

    async def open_streams() -> AsyncGenerator[_Running[T], None]:
        async with aclosing(streams):
            while True:
                await places.acquire()
                stream = await anext(streams, None)
                if stream is None:
                    return
                opened.append(_Running(stream))
                yield opened[-1]

    running = _Running(open_streams())
    try:
        async for stream in running:
            async for item in stream:
                yield item
            await opened.popleft().close()
            places.release()
    finally:
        await running.close()
        for stream in opened:
            await stream.close()


async def beating(stream: AsyncGenerator[T, None], every_seconds: float, beat: T) -> AsyncGenerator[T, None]:
    """The stream's items, and `beat` whenever none has come for so long."""
    running = _Running(stream, _WAITING)
    try:
        while True:
            try:
                # Not wait_for: in Python 3.11 it swallows a cancellation that arrives together with the item.
                async with asyncio.timeout(every_seconds):
                    item = await anext(running)
            except TimeoutError:
                yield beat
            except StopAsyncIteration:
                return
            else:
                yield item
    finally:
        await running.close()
