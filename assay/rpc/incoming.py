"""The messages of a call as they come, for one reader after another."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from typing import Generic, Self, TypeVar

M = TypeVar("M")


class CancellableReader(AsyncIterator[M], Generic[M]):
    """Messages of a stream; a reader that waits for one may be cancelled, and the next reader gets it.

    grpc.aio goes on with a read whose reader was cancelled, refuses a second one, and then says that the
    stream has ended while its client is still sending.
    """

    def __init__(self, messages: AsyncIterable[M]) -> None:
        self._messages = messages
        self._iterator: AsyncIterator[M] | None = None
        self._read: asyncio.Task[M | None] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> M:
        if self._read is None:
            self._read = asyncio.create_task(self._next())
        message = await asyncio.shield(self._read)
        if message is None:  # and stays: nothing comes after the end
            raise StopAsyncIteration
        self._read = None
        return message

    async def _next(self) -> M | None:
        if self._iterator is None:  # gRPC's warns of one that is never read
            self._iterator = aiter(self._messages)
        return await anext(self._iterator, None)

    def close(self) -> None:
        """No more is read."""
        if self._read is not None and not self._read.cancel() and not self._read.cancelled():
            self._read.exception()  # that the call had ended is no news
