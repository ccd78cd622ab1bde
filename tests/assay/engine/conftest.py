from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from assay.engine import Engine, EngineOptions
from assay.engine.model.loading import LoadedModel, load_model
from assay.frame import Clip, Frame
from tests.tiny_checkpoint import write_tiny_checkpoint

MakeClip = Callable[..., Clip]


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    # A tiny model is quickest on one, and the machine is shared.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def checkpoint(tiny_directory: Path) -> LoadedModel:
    return load_model(tiny_directory)


@pytest.fixture
def engine(tiny_directory: Path) -> Iterator[Engine]:
    engine = Engine.load(tiny_directory, EngineOptions(threads=1, max_in_flight=4, max_waiting=2))
    yield engine
    engine.close()


def _clip(frames: int = 1, *, is_video: bool = False, height: int = 56, width: int = 84, seed: int = 0) -> Clip:
    noise = np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
    return Clip(tuple(Frame(pixels, pts_seconds=0.5 * place) for place, pixels in enumerate(noise)), is_video)


@pytest.fixture(scope="session")
def image() -> Clip:
    return _clip()


@pytest.fixture(scope="session")
def video() -> Clip:
    return _clip(3, is_video=True)


@pytest.fixture(scope="session")
def make_clip() -> MakeClip:
    """Noise of a given size: make_clip(frames, is_video=, height=, width=, seed=)."""
    return _clip


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Torch's, so that pictures are encoded while text is read."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)
