"""Miniatures, made once for all tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.miniature import write_miniature


@pytest.fixture(scope="session")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Name -> root of its miniature; not to be written to."""
    made: dict[str, Path] = {}

    def root(name: str) -> Path:
        if name not in made:
            made[name] = write_miniature(name, tmp_path_factory.mktemp(name))
        return made[name]

    return root


@pytest.fixture
def mini_koniq(mini: Callable[[str], Path]) -> Path:
    return mini("koniq")
