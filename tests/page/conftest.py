"""One browser for all tests of the page."""

import pytest_asyncio

from tests.page.browser import launched


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser():
    async with launched() as running:
        yield running
