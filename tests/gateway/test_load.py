"""A quick sample of `make overload` and `make cancel`."""

import pytest

from tests.load import cancel, overload

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_of_what_is_too_much_every_call_ends_well_or_with_a_delay(pool):
    outcomes = await overload(pool, seconds=1.0)
    assert outcomes["BUSY"] > 0
    assert outcomes["without a delay"] == 0
    assert outcomes.keys() <= {"OK", "BUSY", "capacity", "without a delay"}


async def test_calls_that_are_cancelled_at_any_moment_leave_nothing_behind(pool):
    assert not any((await cancel(pool, count=40)).values())
