"""For all tests."""

from collections.abc import Callable
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import settings

# A busy machine stalls any test now and then; a deadline would call that a failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

Miniatures = Callable[[str], Path]
"""Name of a data set -> root of its miniature, made once a session; not to be written to."""


@pytest.fixture(scope="session")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Miniatures:
    # Here, because most tests need neither scipy nor Pillow.
    from tests.data.miniature import write_miniature

    made: dict[str, Path] = {}

    def root(name: str) -> Path:
        if name not in made:
            made[name] = write_miniature(name, tmp_path_factory.mktemp(name))
        return made[name]

    return root


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pool():
    """One decode pool for all tests that only use it, with `pytest.mark.asyncio(loop_scope="session")`.

    Those that kill or close workers make their own.
    """
    # Here, because most tests need no decoder.
    from gateway.decode.jobs import DecodePool

    async with DecodePool(workers=2, spares=0) as running:
        yield running
