"""Small stand-ins: a picture, a checkpoint's forms, a model with few weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Qwen2VLForConditionalGeneration

from assay.checkpoint import ModelSpec, read_checkpoint
from training import labels
from training.batches import Picture
from training.labels import Made
from training.model import new_model
from training.rows import Writer

# Models of these tests are so small that a second thread does nothing but wait, on a core that others want.
torch.set_num_threads(1)

NANO = Path(__file__).parents[2] / "checkpoints" / "nano"
FORMS = Path(__file__).parents[2] / "training" / "configs"


@pytest.fixture(scope="session")
def checkpoint() -> ModelSpec:
    return read_checkpoint(FORMS)


@pytest.fixture(scope="session")
def tokenizer_file() -> Path:
    return NANO / "tokenizer.json"


@pytest.fixture(scope="session")
def writer(checkpoint: ModelSpec, tokenizer_file: Path) -> Writer:
    return Writer(checkpoint, tokenizer_file, np.zeros((8, 1000), np.float32))


@pytest.fixture(scope="session")
def model(tokenizer_file: Path) -> Qwen2VLForConditionalGeneration:
    torch.manual_seed(0)
    return new_model(tokenizer_file, tower_depth=1, width=128, layers=2, feed_forward=128)


def picture_of(height: int = 56, width: int = 84, frames: int = 1, mos: float = 3.0, kind: str = "") -> Picture:
    """Coloured noise that is rated `mos`."""
    pixels = np.random.default_rng(0).integers(0, 255, (frames, height, width, 3), np.uint8)
    made, statistics = Made(mos, mos), labels.pixel_statistics(pixels[0])
    return Picture(pixels, labels.truth(made, statistics), 0, kind, made, statistics)
