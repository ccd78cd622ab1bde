"""Inbox: a stream's items in a queue, put there by a task of its own, and after them how the stream ended."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class End:
    """Comes last."""

    error: Exception | None


async def fill(inbox: "asyncio.Queue[T | End]", stream: AsyncGenerator[T, None]) -> None:
    """Put all items into the inbox, then the End, with what the stream raised if it did. Closes the stream."""
    end = End(None)
    try:
        async with aclosing(stream):
            async for item in stream:
                await inbox.put(item)
    except Exception as error:  # noqa: BLE001 - raised again where the items are read
        end = End(error)
    await inbox.put(end)
