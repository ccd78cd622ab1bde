import json
import shutil
from pathlib import Path

import pytest

from tests.assay.engine.conftest import image, make_clip, video

__all__ = ["image", "make_clip", "video"]

NANO = Path(__file__).parents[3] / "checkpoints" / "nano"


def nano_with(directory: Path, activation: str) -> Path:
    """A copy of nano that says so of its vision tower."""
    shutil.copytree(NANO, directory)
    config = json.loads((directory / "config.json").read_text())
    config["vision_config"]["hidden_act"] = activation
    (directory / "config.json").write_text(json.dumps(config))
    return directory


@pytest.fixture(scope="session")
def quick_nano(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As vLLM computes it."""
    return nano_with(tmp_path_factory.mktemp("quick") / "nano", "quick_gelu")
