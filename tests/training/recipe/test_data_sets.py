"""Every data set that can be trained on, from its published layout (in miniature) to a checkpoint that loads."""

import json
from pathlib import Path

import pytest

from assay.engine.model.loading import load_model
from data.conversations import ConversationRow
from tests.conftest import Miniatures
from tests.training.recipe.conftest import CONFIGS, settings, silent
from training.__main__ import scored
from training.recipe.example import direct_row, example_of
from training.recipe.merge import merge
from training.recipe.settings import read_settings
from training.recipe.stages import StageOptions, encoder_of, stage2

SETS = ("koniq", "spaq", "livec", "ava", "tad66k", "realqa")


def rows_of(name: str, root: Path, count: int) -> list[ConversationRow]:
    rated = scored(read_settings(CONFIGS / f"{name}.toml"), root)
    return [direct_row(path, score) for path, score in rated[:count]]


@pytest.mark.parametrize("name", SETS)
def test_a_row_of_every_data_set_can_be_learnt(name: str, base: Path, mini: Miniatures) -> None:
    (row,) = rows_of(name, mini(name), 1)
    learnt = encoder_of(base, settings(name=name)).example(example_of(row))
    assert (len(learnt.digit_places) > 1, float(learnt.weights.sum()) > 10) == (True, True)


@pytest.mark.slow
def test_the_loss_falls_and_the_merged_checkpoint_loads(base: Path, mini: Miniatures, tmp_path: Path) -> None:
    rows = [row for name in SETS for row in rows_of(name, mini(name), 1)]
    chosen = settings("optimiser.batch=6", 'stage2.tasks=["direct"]', "stage2.epochs=3")
    out = stage2(StageOptions(chosen, base, tmp_path / "stage2", say=silent), rows)
    losses = [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0]
    merge(base, out, tmp_path / "merged")
    load_model(tmp_path / "merged", "cpu")
