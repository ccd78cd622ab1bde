"""A tiny base, a few generated pictures, and their conversations."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data.conversations import ConversationRow
from tests.tiny_checkpoint import write_tiny_checkpoint
from training.recipe.example import direct_row, reasoned_row, stage1_question
from training.recipe.mixture import TASKS
from training.recipe.settings import Settings, read_settings
from training.recipe.stages import StageOptions, stage2

CONFIGS = Path("training/recipe/configs")
SMALL = ("pictures.min_pixels=3136", "pictures.max_pixels=6272", "optimiser.rate=1e-2", "optimiser.warm_up=0.0")
SCORES = (2.31, 7.0, 4.96, 8.4)


def settings(*assignments: str, name: str = "koniq") -> Settings:
    return read_settings(CONFIGS / f"{name}.toml", [CONFIGS / "miniature.toml"], [*SMALL, *assignments])


def silent(line: str) -> None:
    """What a run says is dropped."""


@dataclass(frozen=True)
class Set:
    paths: tuple[Path, ...]

    @property
    def scored(self) -> list[ConversationRow]:
        rows = []
        for path, score in zip(self.paths, SCORES, strict=True):
            rows.append(direct_row(path, score))
            rows += [reasoned_row(task, path, score, "It is sharp.") for task in ("natural", "regular")]
        return rows

    @property
    def attributes(self) -> list[ConversationRow]:
        tasks = [task for several in TASKS.values() for task in several]
        return [
            ConversationRow(path, stage1_question(task), f"{task}: fine", task) for path in self.paths for task in tasks
        ]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Set:
    directory = tmp_path_factory.mktemp("pictures")
    paths = []
    for number in range(len(SCORES)):
        pixels: Any = np.random.default_rng(number).integers(0, 256, (70, 90, 3), dtype=np.uint8)
        paths.append(directory / f"{number}.png")
        Image.fromarray(pixels).save(paths[-1])
    return Set(tuple(paths))


@pytest.fixture(scope="session")
def adapter(base: Path, pictures: Set, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two steps of stage 2, so that the adapter is no longer zero."""
    out = tmp_path_factory.mktemp("stage2")
    return stage2(StageOptions(settings(), base, out, stop_after=2, say=silent), pictures.scored)
