from pathlib import Path

import pytest

from tests.assay.engine.conftest import image, make_clip, video
from tests.checkpoints import nano_with

__all__ = ["image", "make_clip", "video"]


@pytest.fixture(scope="session")
def quick_nano(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As vLLM computes it."""
    return nano_with(tmp_path_factory.mktemp("quick") / "nano", "quick_gelu")
