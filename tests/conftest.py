"""For all tests."""

from collections.abc import Callable
from pathlib import Path

import pytest
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
