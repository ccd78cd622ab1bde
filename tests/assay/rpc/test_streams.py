"""assay/rpc/streams.py: what is ready goes together, waits for nothing, and ends as its producer does."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import pytest

from assay.errors import Busy
from assay.rpc.streams import Put, Turns, batches, task_group


def producing(*moments: str, ended: list[str] | None = None) -> Callable[[Put[str]], object]:
    """Puts the letters of a text at one moment, then those of the next."""

    async def produce(put: Put[str]) -> None:
        try:
            for moment in moments:
                await asyncio.sleep(0.01)
                for item in moment:
                    await put(item)
        finally:
            if ended is not None:
                ended.append("ended")

    return produce


async def collected(produce, silence_seconds=None) -> list[list[str]]:
    return [batch async for batch in batches(produce, silence_seconds)]


async def test_what_is_ready_at_one_moment_comes_at_once() -> None:
    assert await collected(producing("abc", "d", "ef")) == [["a", "b", "c"], ["d"], ["e", "f"]]


async def test_an_item_does_not_wait_for_the_next_one() -> None:
    more = asyncio.Event()

    async def produce(put: Put[str]) -> None:
        await put("a")
        await more.wait()
        await put("b")

    async with aclosing(batches(produce)) as written:
        assert await anext(written) == ["a"]
        more.set()
        assert await anext(written) == ["b"]


async def test_what_came_before_an_error_comes_before_it() -> None:
    async def produce(put: Put[str]) -> None:
        await put("a")
        raise Busy("full")

    async with aclosing(batches(produce)) as written:
        assert await anext(written) == ["a"]
        with pytest.raises(Busy, match="full"):
            await anext(written)


async def test_who_stops_reading_ends_the_producer() -> None:
    ended: list[str] = []
    async with aclosing(batches(producing("a", "b" * 1000, ended=ended))) as written:
        await anext(written)
    assert ended == ["ended"]


async def test_a_producer_whose_items_nobody_reads_is_held_back() -> None:
    count = 0

    async def produce(put: Put[int]) -> None:
        nonlocal count
        for count in range(1, 1000):
            await put(count)

    async with aclosing(batches(produce)) as written:
        await anext(written)
        await asyncio.sleep(0.01)
        held_back_at = count
        await asyncio.sleep(0.01)
        assert count == held_back_at < 200


async def test_silence_is_an_empty_batch() -> None:
    async def produce(put: Put[str]) -> None:
        await asyncio.sleep(0.05)
        await put("a")

    got = await collected(produce, silence_seconds=0.02)
    assert (got[0], got[-1]) == ([], ["a"])


async def test_silence_loses_nothing() -> None:
    got = await collected(producing(*"abcdefghij"), silence_seconds=0.01)
    assert [item for batch in got for item in batch] == [*"abcdefghij"]


async def test_the_first_error_of_a_group_is_raised_as_it_is() -> None:
    async def failing() -> None:
        raise Busy("full")

    async def grouped() -> None:
        async with task_group() as group:
            group.create_task(failing())
            await asyncio.sleep(5)

    with pytest.raises(Busy, match="full"):
        await grouped()


async def test_an_error_in_a_group_cancels_the_others() -> None:
    ended: list[str] = []

    async def nothing(item: str) -> None:
        await asyncio.sleep(5)

    async def grouped() -> None:
        async with task_group() as group:
            group.create_task(producing("a", ended=ended)(nothing))
            await asyncio.sleep(0.02)
            raise Busy("full")

    with pytest.raises(Busy):
        await grouped()
    assert ended == ["ended"]


async def write(turn, *parts: object) -> None:
    """Puts texts; sleeps for a number."""
    for part in parts:
        await (asyncio.sleep(part) if isinstance(part, float) else turn.put(part))
    await turn.end()


async def in_turns(*writers: tuple[object, ...]) -> list[str]:
    put: list[str] = []

    async def slowly(item: str) -> None:
        await asyncio.sleep(0.001)
        put.append(item)

    turns = Turns(slowly)
    async with task_group() as group:
        for parts in writers:
            group.create_task(write(turns.begin(), *parts))
    return put


@pytest.mark.parametrize(
    "writers",
    [
        ((0.03, "a", "b"), ("c",)),
        (("a", "b"), ("c", 0.02, "d"), ("e",)),
        ((0.02, "a"), (0.01, "b"), ("c",), ()),
        (("a",), (), ("b", 0.005, "c"), ("d", "e")),
        ((0.01, "a"), ("b", 0.011, "c", "d"), ("e", 0.012, "f")),
    ],
)
async def test_writers_keep_their_order_who_is_the_fastest(writers) -> None:
    expected = [part for parts in writers for part in parts if isinstance(part, str)]
    assert await in_turns(*writers) == expected


async def test_the_writer_whose_turn_it_is_waits_for_nobody() -> None:
    put: list[str] = []

    async def take(item: str) -> None:
        put.append(item)

    turns = Turns(take)
    first, second = turns.begin(), turns.begin()
    await second.put("b")
    await first.put("a")
    assert put == ["a"]
    await first.end()
    await second.put("c")
    assert put == ["a", "b", "c"]


async def test_a_writer_may_begin_after_all_others_have_ended() -> None:
    assert await in_turns(("a",)) == ["a"]
    turns = Turns(asyncio.Queue().put)
    await write(turns.begin(), "a")
    assert turns.begin().is_on
