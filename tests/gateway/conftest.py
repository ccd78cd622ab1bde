"""One decode pool for all tests that only use it; those that kill or close workers make their own."""

import pytest_asyncio

from gateway.decode.jobs import DecodePool


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pool():
    """Tests that take it need `pytest.mark.asyncio(loop_scope="session")`."""
    async with DecodePool(workers=2, spares=0) as running:
        yield running
