import asyncio
from collections import Counter
from contextlib import AsyncExitStack, suppress

import pytest

from assay.errors import Busy
from assay.rpc.call import set_deadline
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
    assert asyncio.get_running_loop().time() - start < 5


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


async def finished_in_order(limit, wanted):
    """The names of requests in the order in which they get a place, where one place is held while all of them come."""
    order = []

    async def request(name, tenant, priority):
        async with limit.place(tenant, priority) as place, place.at_work():
            order.append(name)
            await asyncio.sleep(0)

    async with limit.place("first") as held, held.at_work():
        waiting = [asyncio.create_task(request(*each)) for each in wanted]
        await asyncio.sleep(0.01)
    await asyncio.gather(*waiting)
    return order


async def test_the_more_urgent_class_goes_first():
    wanted = [("slow", "a", "batch"), ("page", "a", "interactive"), ("camera", "a", "live")]
    assert await finished_in_order(RequestLimit(1, 10, max_queued=3), wanted) == ["camera", "page", "slow"]


async def test_of_two_tenants_neither_waits_for_all_that_the_other_has_sent():
    """With two places the tenant that holds none goes before the one that holds one."""
    limit = RequestLimit(2, 10, max_queued=20)
    async with AsyncExitStack() as stack:
        big = await stack.enter_async_context(limit.place("big"))
        small = await stack.enter_async_context(limit.place("other"))
        await big.keep()
        await small.keep()
        order = []

        async def request(tenant):
            async with limit.place(tenant) as place, place.at_work():
                order.append(tenant)

        waiting = [asyncio.create_task(request(each)) for each in ["big"] * 9 + ["small"]]
        await asyncio.sleep(0.01)
        await stack.aclose()
    await asyncio.gather(*waiting)
    assert order.index("small") <= 1


async def test_within_a_class_the_earlier_deadline_goes_first():
    limit = RequestLimit(1, 10, max_queued=2)
    order = []

    async def request(name, seconds):
        set_deadline(seconds)
        async with limit.place() as place, place.at_work():
            order.append(name)

    async with limit.place() as held, held.at_work():
        waiting = [asyncio.create_task(request(*each)) for each in (("late", 100), ("soon", 50))]
        await asyncio.sleep(0.01)
    await asyncio.gather(*waiting)
    assert order == ["soon", "late"]


async def test_the_queue_is_bounded_and_a_refusal_says_when_a_place_is_likely(exits):
    limit = RequestLimit(1, wait_seconds=10, max_queued=1)
    await working(limit, exits)
    await exits.enter_async_context(limit.place())
    with pytest.raises(Busy) as refused:
        await exits.enter_async_context(limit.place())
    assert refused.value.retry_seconds == pytest.approx(2.0)  # a second each, until something else is known


async def test_who_would_wait_too_long_for_a_place_is_refused_at_once(exits):
    limit = RequestLimit(1, wait_seconds=0.1, max_queued=1)
    async with limit.place() as before, before.at_work():
        await asyncio.sleep(0.15)
    await working(limit, exits)
    with pytest.raises(Busy):
        await exits.enter_async_context(limit.place())


async def shares(arrivals, limit):
    """How many requests of each tenant are served where these come at each tick, and then the oldest ends."""
    served, running = Counter(), []

    async def request(tenant):
        with suppress(Busy):
            async with limit.place(tenant) as place, place.at_work():
                running.append(asyncio.Event())
                await running[-1].wait()
                served[tenant] += 1

    async with asyncio.TaskGroup() as group:
        for tenants in [*arrivals, *([] for _ in range(20))]:
            for tenant in tenants:
                group.create_task(request(tenant))
                for _ in range(4):
                    await asyncio.sleep(0)
            if running:
                running.pop(0).set()
                for _ in range(4):
                    await asyncio.sleep(0)
    return served


@pytest.mark.parametrize(("places", "queued"), [(1, 1), (1, 8), (2, 4), (3, 1), (4, 1), (4, 8)])
async def test_a_tenant_that_offers_no_more_than_half_gets_what_it_offers(places, queued):
    first, last = ["small"] + 9 * ["big"], 9 * ["big"] + ["small"]
    served = await shares([first, 9 * ["big"], last, 9 * ["big"]] * 25, RequestLimit(places, 100, max_queued=queued))
    assert served["small"] >= 48


@pytest.mark.parametrize(("places", "queued"), [(1, 1), (1, 8), (2, 1), (2, 4), (3, 1), (4, 1), (4, 8), (5, 3)])
@pytest.mark.parametrize("arrivals", [5 * ["a", "b"], 5 * ["a"] + 5 * ["b"], ["a"] + 9 * ["b"]])
async def test_of_two_tenants_that_flood_each_gets_half(places, queued, arrivals):
    """However many places there are, and which of them comes first."""
    served = await shares(100 * [arrivals], RequestLimit(places, 100, max_queued=queued))
    assert served["a"] == pytest.approx(served["b"], rel=0.1)


async def test_a_less_urgent_request_makes_way_in_a_full_queue(exits):
    limit = RequestLimit(1, wait_seconds=10, max_queued=1)
    await working(limit, exits)
    slow = await exits.enter_async_context(limit.place(priority="batch"))
    await exits.enter_async_context(limit.place(priority="live"))
    with pytest.raises(Busy):
        await slow.keep()


async def test_batch_requests_leave_a_place_to_those_that_are_live():
    limit = RequestLimit(2, wait_seconds=10, max_queued=4)
    async with AsyncExitStack() as stack:
        for _ in range(3):
            place = await stack.enter_async_context(limit.place("bulk", "batch"))
            asyncio.get_running_loop().create_task(place.keep())
        await asyncio.sleep(0.01)
        assert limit.taken == 1
        async with asyncio.timeout(5), limit.turn("camera", "live"):
            assert limit.taken == 2


async def test_a_window_of_a_live_stream_waits_for_its_turn_without_being_queued():
    limit = RequestLimit(1, wait_seconds=10)
    async with AsyncExitStack() as stack:
        held = await stack.enter_async_context(limit.place())
        await held.keep()

        async def window():
            async with limit.turn("camera", "live"):
                return limit.taken

        judged = asyncio.create_task(window())
        await asyncio.sleep(0.01)
        assert not judged.done()
        await stack.aclose()
        assert await judged == 1
    assert limit.taken == 0


async def test_a_batch_request_does_not_take_the_place_of_a_live_one_that_still_sends():
    limit = RequestLimit(2, wait_seconds=0.3, max_queued=4)
    async with limit.place("bulk", "batch") as held, limit.place("camera", "live"):
        await held.keep()
        async with limit.place("bulk", "batch") as second:
            with pytest.raises(Busy):
                await second.keep()
    assert limit.taken == 0
