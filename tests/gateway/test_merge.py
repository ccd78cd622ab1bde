"""Several streams -> one."""

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator

import pytest

from gateway.merge import beating, in_turn, merged


async def stream(*items: object, closed: list[str] | None = None) -> AsyncGenerator[object, None]:
    """Yields the items; sleeps for a float, raises an exception."""
    try:
        for item in items:
            if isinstance(item, float):
                await asyncio.sleep(item)
            elif isinstance(item, Exception):
                raise item
            else:
                yield item
    finally:
        if closed is not None:
            closed.append("closed")


async def rows(*streams: AsyncGenerator[object, None]) -> AsyncGenerator[AsyncGenerator[object, None], None]:
    for each in streams:
        yield each


async def collect(source: AsyncGenerator[object, None]) -> list[object]:
    return [item async for item in source]


async def test_items_are_merged_in_the_order_in_which_they_come():
    assert await collect(merged(stream("a", 0.1, "c"), stream(0.05, "b"))) == ["a", "b", "c"]


async def test_the_first_error_of_a_merged_stream_is_raised():
    with pytest.raises(ValueError, match="broken"):
        await collect(merged(stream(5.0, "never"), stream(ValueError("broken"))))


async def test_an_error_closes_the_other_streams():
    closed: list[str] = []
    with pytest.raises(ValueError, match="broken"):
        await collect(merged(stream("a", 5.0, closed=closed), stream(0.01, ValueError("broken"))))
    assert closed == ["closed"]


async def test_whoever_stops_reading_closes_all_streams():
    closed: list[str] = []
    source = merged(stream("a", 5.0, closed=closed), stream(0.01, "b", 5.0, closed=closed))
    assert [await anext(source), await anext(source)] == ["a", "b"]
    await source.aclose()
    assert closed == ["closed", "closed"]


async def test_streams_in_turn_keep_their_order_even_if_the_later_is_faster():
    assert await collect(in_turn(rows(stream(0.05, "a", "b"), stream("c")), at_once=2)) == ["a", "b", "c"]


async def test_streams_in_turn_run_at_the_same_time():
    started = asyncio.get_running_loop().time()
    await collect(in_turn(rows(stream(0.2, "a"), stream(0.2, "b")), at_once=2))
    assert asyncio.get_running_loop().time() - started < 0.35


async def test_no_more_streams_run_than_there_are_places():
    running: list[int] = []
    most: list[int] = []

    async def counted() -> AsyncGenerator[str, None]:
        running.append(1)
        most.append(len(running))
        await asyncio.sleep(0.01)
        running.pop()
        yield "x"

    await collect(in_turn(rows(*[counted() for _ in range(6)]), at_once=2))
    assert max(most) == 2


async def test_an_error_of_a_later_stream_comes_in_its_turn():
    source = in_turn(rows(stream(0.05, "a"), stream(ValueError("broken"))), at_once=2)
    assert await anext(source) == "a"
    with pytest.raises(ValueError, match="broken"):
        await anext(source)


async def test_a_quiet_stream_is_filled_with_heartbeats():
    assert "beat" in await collect(beating(stream("a", 0.3, "b"), 0.1, "beat"))


async def test_heartbeats_lose_nothing_of_the_stream():
    got = await collect(beating(stream(*[part for n in range(20) for part in (n, 0.01)]), 0.01, "beat"))
    assert [item for item in got if item != "beat"] == list(range(20))


async def test_an_error_comes_through_the_heartbeats():
    with pytest.raises(ValueError, match="broken"):
        await collect(beating(stream("a", ValueError("broken")), 1.0, "beat"))


async def test_streams_in_turn_leave_nothing_behind_when_they_have_ended():
    kept: weakref.WeakSet[AsyncGenerator[object, None]] = weakref.WeakSet()

    async def many() -> AsyncGenerator[AsyncGenerator[object, None], None]:
        for number in range(50):
            one = stream(number)
            kept.add(one)
            yield one

    most = 0
    async for _ in in_turn(many(), at_once=2):
        gc.collect()
        most = max(most, len(kept))
    assert most < 10
