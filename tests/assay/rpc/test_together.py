"""Items that are ready at the same moment come together, and none of them waits for a later one."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from assay.errors import Busy
from assay.rpc.together import together


async def _items(*moments: str, closed: list[str] | None = None) -> AsyncGenerator[str, None]:
    try:
        for moment in moments:
            await asyncio.sleep(0.01)
            for item in moment:
                yield item
    finally:
        if closed is not None:
            closed.append("closed")


async def test_what_is_ready_at_one_moment_comes_at_once() -> None:
    assert [moment async for moment in together(_items("abc", "d", "ef"))] == [["a", "b", "c"], ["d"], ["e", "f"]]


async def test_an_item_does_not_wait_for_the_next_one() -> None:
    more = asyncio.Event()

    async def slow() -> AsyncGenerator[str, None]:
        yield "a"
        await more.wait()
        yield "b"

    async with aclosing(together(slow())) as moments:
        assert await asyncio.wait_for(anext(moments), 1.0) == ["a"]
        more.set()
        assert await asyncio.wait_for(anext(moments), 1.0) == ["b"]


async def test_a_stream_that_nobody_reads_is_held_back() -> None:
    made = []

    async def eager() -> AsyncGenerator[int, None]:
        for number in range(1000):
            made.append(number)
            yield number

    async with aclosing(together(eager())) as moments:
        await anext(moments)
        await asyncio.sleep(0.01)
        assert len(made) < 200


async def test_a_stream_without_items_has_no_moments() -> None:
    assert [moment async for moment in together(_items())] == []


async def test_what_a_stream_raises_comes_after_its_items() -> None:
    async def failing() -> AsyncGenerator[str, None]:
        yield "a"
        raise Busy("no room")

    moments = together(failing())
    assert await anext(moments) == ["a"]
    with pytest.raises(Busy, match="no room"):
        await anext(moments)


@pytest.mark.parametrize("how", ["closed", "cancelled"])
async def test_who_leaves_closes_the_stream(how: str) -> None:
    closed: list[str] = []
    moments = together(_items("a", *["b"] * 1000, closed=closed))
    await anext(moments)
    if how == "closed":
        await moments.aclose()
    else:

        async def read() -> None:
            async with aclosing(moments):
                async for _ in moments:
                    pass

        task = asyncio.create_task(read())
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert closed == ["closed"]
