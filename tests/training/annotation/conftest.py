"""A data set to label."""

from pathlib import Path

import pytest

from training.datasets.miniature import write_miniature


@pytest.fixture
def mini_koniq(tmp_path: Path) -> Path:
    return write_miniature("koniq", tmp_path / "koniq")
