"""What is ready at one moment, in one go: between programs a message costs more than what is in it."""

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

from assay.rpc.inbox import End, fill

T = TypeVar("T")
_MOST = 64
"""Items of one moment; with more of them unread their stream is held back."""


async def together(stream: AsyncGenerator[T, None]) -> AsyncGenerator[list[T], None]:
    """The stream's items, each time as many as are there without waiting, at least one. Closing it closes the stream.

    Nothing is held back: a single item that is ready comes alone. Raises what the stream raises, after its items.
    """
    inbox: asyncio.Queue[T | End] = asyncio.Queue(_MOST)
    # In a task of its own, which goes on until it has to wait; its reader is woken only then.
    reading = asyncio.create_task(fill(inbox, stream))
    try:
        while True:
            items = [await inbox.get()]
            while not inbox.empty():
                items.append(inbox.get_nowait())
            if moment := [item for item in items if not isinstance(item, End)]:
                yield moment
            if isinstance(end := items[-1], End):
                if end.error:
                    raise end.error
                return
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
