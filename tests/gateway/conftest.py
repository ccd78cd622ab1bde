"""One decode pool for all tests that only use it; those that kill or close workers make their own."""

import pytest_asyncio
from hypothesis import settings

from gateway.decode import DecodePool

# A busy machine stalls any test now and then; a deadline would call that a failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pool():
    """Tests that take it need `pytest.mark.asyncio(loop_scope="session")`."""
    async with DecodePool(workers=2, spares=0) as running:
        yield running
