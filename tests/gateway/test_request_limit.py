import asyncio
from contextlib import AsyncExitStack

import pytest

from assay.errors import Busy
from gateway.request_limit import RequestLimit


@pytest.fixture
async def exits():
    async with AsyncExitStack() as stack:
        yield stack


async def working(limit, exits):
    """A place of a request that has sent its file."""
    place = await exits.enter_async_context(limit.place())
    await place.keep()
    return place


async def test_where_all_are_at_work_one_more_is_refused_at_once(exits):
    limit = RequestLimit(2, wait_seconds=10)
    for _ in range(2):
        await working(limit, exits)
    start = asyncio.get_running_loop().time()
    with pytest.raises(Busy, match="limit of 2 requests"):
        await exits.enter_async_context(limit.place())
    assert asyncio.get_running_loop().time() - start < 0.1


async def test_an_upload_that_is_slow_gives_its_place_to_another(exits):
    limit = RequestLimit(1, wait_seconds=10)
    await exits.enter_async_context(limit.place())
    await working(limit, exits)
    assert limit.taken == 1


async def test_bytes_by_ones_do_not_hold_a_place(exits):
    limit = RequestLimit(1, wait_seconds=10)
    slow = await exits.enter_async_context(limit.place())

    async def dribble():
        while True:
            slow.received(1)
            await asyncio.sleep(0.01)

    dribbling = asyncio.create_task(dribble())
    await working(limit, exits)
    dribbling.cancel()


async def test_an_upload_that_is_fast_keeps_its_place(exits):
    limit = RequestLimit(1, wait_seconds=10)
    fast = await exits.enter_async_context(limit.place())

    async def send():
        while True:
            fast.received(20_000)
            await asyncio.sleep(0.01)

    sending = asyncio.create_task(send())
    with pytest.raises(Busy):
        await exits.enter_async_context(limit.place())
    sending.cancel()


async def test_a_place_that_was_given_away_is_waited_for(exits):
    limit = RequestLimit(1, wait_seconds=10)
    slow = await exits.enter_async_context(limit.place())
    async with limit.place() as other:
        await other.keep()
        keeping = asyncio.create_task(slow.keep())
        await asyncio.sleep(0.05)
        assert not keeping.done()
    await keeping
    assert limit.taken == 1


async def test_the_wait_for_a_place_has_an_end(exits):
    limit = RequestLimit(1, wait_seconds=0.05)
    slow = await exits.enter_async_context(limit.place())
    await working(limit, exits)
    with pytest.raises(Busy):
        await slow.keep()


async def test_while_something_of_it_is_judged_an_upload_keeps_its_place(exits):
    limit = RequestLimit(1, wait_seconds=10)
    streaming = await exits.enter_async_context(limit.place())
    async with streaming.at_work():
        await asyncio.sleep(0.15)
        with pytest.raises(Busy):
            await exits.enter_async_context(limit.place())
    await working(limit, exits)


async def test_nothing_is_taken_when_all_have_gone_however_they_went():
    limit = RequestLimit(2, wait_seconds=0.02)

    async def request(number):
        async with limit.place() as place:
            await asyncio.sleep(0.01 * (number % 4))
            await place.keep()
            await asyncio.sleep(0.01)

    requests = [asyncio.create_task(request(number)) for number in range(20)]
    await asyncio.sleep(0.015)
    for task in requests[::3]:
        task.cancel()
    await asyncio.gather(*requests, return_exceptions=True)
    assert limit.taken == 0
