import asyncio
from collections.abc import AsyncIterator

import pytest

from assay.rpc.incoming import CancellableReader


class Wire(AsyncIterator):
    """Messages that somebody puts in; None ends them."""

    def __init__(self):
        self.queue = asyncio.Queue()

    async def __anext__(self):
        if (message := await self.queue.get()) is None:
            raise StopAsyncIteration
        return message


async def test_messages_come_in_order_to_their_end():
    wire = Wire()
    for message in ("one", "two", None):
        wire.queue.put_nowait(message)
    assert [message async for message in CancellableReader(wire)] == ["one", "two"]


async def test_the_next_reader_gets_what_a_cancelled_one_waited_for():
    wire = Wire()
    incoming = CancellableReader(wire)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(incoming), 0.01)
    wire.queue.put_nowait("one")
    assert await anext(incoming) == "one"


async def test_there_is_nothing_behind_the_end():
    wire = Wire()
    wire.queue.put_nowait(None)
    incoming = CancellableReader(wire)
    assert [await anext(incoming, "ended"), await anext(incoming, "ended")] == ["ended", "ended"]


async def test_what_nobody_will_read_is_not_waited_for():
    wire = Wire()
    incoming = CancellableReader(wire)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(incoming), 0.01)
    incoming.close()
    await asyncio.sleep(0)
    wire.queue.put_nowait("late")
    await asyncio.sleep(0.01)
    assert wire.queue.qsize() == 1
