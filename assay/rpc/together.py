"""What is ready at one moment, in one go: between programs a message costs more than what is in it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")


class _End:
    """Stands behind the last item."""


async def together(stream: AsyncGenerator[T, None]) -> AsyncGenerator[list[T], None]:
    """The stream's items, each time as many as are there without waiting, at least one. Closing it closes the stream.

    Nothing is held back: a single item that is ready comes alone. Raises what the stream raises, after its items.
    """
    inbox: asyncio.Queue[T | _End] = asyncio.Queue()
    # In a task of its own, which goes on until it has to wait; its reader is woken only then.
    reading = asyncio.create_task(_read(stream, inbox))
    try:
        is_open = True
        while is_open:
            items = [await inbox.get()]
            while not inbox.empty():
                items.append(inbox.get_nowait())
            is_open = not isinstance(items[-1], _End)
            if moment := [item for item in items if not isinstance(item, _End)]:
                yield moment
        await reading
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _read(stream: AsyncGenerator[T, None], inbox: "asyncio.Queue[T | _End]") -> None:
    try:
        async with aclosing(stream):
            async for item in stream:
                inbox.put_nowait(item)
    finally:
        inbox.put_nowait(_End())
