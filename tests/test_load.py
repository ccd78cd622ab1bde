"""A quick sample of `make overload` and `make cancel`: counts, as this machine may be slow."""

import pytest

from tests.load import cancel, live_during_batch, loaded, overload, tenants

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_of_what_is_too_much_every_call_ends_well_or_with_a_delay(pool):
    async with loaded(pool, service_seconds=0.4) as load:
        _, _, flooded = await overload(load, seconds=1.5)
    assert flooded.accepted_seconds
    assert flooded.refused_seconds
    assert (flooded.without_delay, flooded.others) == (0, [])


async def test_no_live_call_is_refused_while_batch_calls_flood(pool):
    async with loaded(pool, service_seconds=0.3) as load:
        _, during = await live_during_batch(load, seconds=1.0)
    assert during.accepted_seconds
    assert (during.refused_seconds, during.others) == ([], [])


async def test_a_tenant_that_asks_for_little_gets_more_of_it_than_one_that_asks_for_much(pool):
    async with loaded(pool, service_seconds=0.3) as load:
        small, big = await tenants(load, seconds=1.5, small=0.2, big=1.8)
    assert (small.others, big.others) == ([], [])
    assert small.accepted_share > big.accepted_share


async def test_calls_that_are_cancelled_at_any_moment_leave_nothing_behind(pool):
    assert not any((await cancel(pool, count=40)).values())
