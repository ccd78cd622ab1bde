"""Every stage on the tiny architecture."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from assay.engine.model.loading import load_model
from assay.errors import CheckpointError
from data.conversations import ConversationRow
from tests.conftest import Miniatures
from tests.training.recipe.conftest import CONFIGS, SCORES, Set, settings, silent
from training.__main__ import scored
from training.recipe.base import find_base
from training.recipe.example import direct_row, example_of
from training.recipe.merge import merge
from training.recipe.settings import RecipeError, read_settings
from training.recipe.stages import StageOptions, encoder_of, regression, stage1, stage2

ONE_BATCH = ("optimiser.batch=4", "stage2.tasks=['direct']", "stage2.epochs=8", "regression.epochs=8")


def log(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def losses(out: Path) -> list[float]:
    return [line["loss"] for line in log(out)]


def test_stage_1_takes_two_steps(base: Path, pictures: Set, tmp_path: Path) -> None:
    stage1(StageOptions(settings(name="realqa"), base, tmp_path, stop_after=2, say=silent), pictures.attributes)
    assert len(losses(tmp_path)) == 2


def test_the_loss_of_one_batch_falls(base: Path, pictures: Set, tmp_path: Path) -> None:
    stage2(StageOptions(settings(*ONE_BATCH), base, tmp_path, say=silent), pictures.scored)
    assert losses(tmp_path)[-1] < 0.8 * losses(tmp_path)[0]


def test_the_loss_falls_from_random_weights_too(base: Path, pictures: Set, tmp_path: Path) -> None:
    chosen = settings(*ONE_BATCH, "model.from_scratch=true", "optimiser.rate=3e-3")
    stage2(StageOptions(chosen, base, tmp_path, say=silent), pictures.scored)
    assert losses(tmp_path)[-1] < 0.8 * losses(tmp_path)[0]


def test_the_regression_head_learns(base: Path, pictures: Set, tmp_path: Path) -> None:
    scored = list(zip(pictures.paths, SCORES, strict=True))
    regression(StageOptions(settings(*ONE_BATCH), base, tmp_path, say=silent), scored)
    assert losses(tmp_path)[-1] < 0.8 * losses(tmp_path)[0]


def test_ncm_is_logged_for_direct_and_reasoned_rows(base: Path, pictures: Set, tmp_path: Path) -> None:
    chosen = settings("optimiser.batch=12")
    stage2(StageOptions(chosen, base, tmp_path, stop_after=1, say=silent), pictures.scored)
    (line,) = log(tmp_path)
    names = [
        f"{name}_{kind}" for name in ("ncm", "ncm_star_paper", "ncm_star_renormalised") for kind in ("direct", "cot")
    ]
    assert all(line[name] >= 0 for name in names)


def test_a_resumed_run_ends_as_an_uninterrupted_one(base: Path, pictures: Set, tmp_path: Path) -> None:
    chosen = settings("adapter.dropout=0.3")
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    stage2(StageOptions(chosen, base, whole, stop_after=4, say=silent), pictures.scored)
    stage2(StageOptions(chosen, base, halves, stop_after=4, pause_after=2, say=silent), pictures.scored)
    stage2(StageOptions(chosen, base, halves, stop_after=4, say=silent), pictures.scored)
    one, other = (load_file(out / "adapter_model.safetensors") for out in (whole, halves))
    assert all(one[name].equal(other[name]) for name in one)


def test_two_micro_batches_learn_what_one_of_twice_the_size_does(base: Path, pictures: Set, tmp_path: Path) -> None:
    for name, sizes in (("one", "batch=4"), ("two", "batch=2\noptimiser.accumulate=2")):
        chosen = settings(f"optimiser.{sizes}")
        stage2(StageOptions(chosen, base, tmp_path / name, stop_after=2, say=silent), pictures.scored)
    assert losses(tmp_path / "one") == pytest.approx(losses(tmp_path / "two"), rel=1e-4)


def test_the_state_of_another_run_is_refused(base: Path, pictures: Set, tmp_path: Path) -> None:
    stage2(StageOptions(settings(), base, tmp_path, stop_after=2, say=silent), pictures.scored)
    with pytest.raises(RecipeError, match="other settings"):
        stage2(StageOptions(settings("seed=7"), base, tmp_path, stop_after=2, say=silent), pictures.scored)


def test_the_vision_tower_is_trained(adapter: Path) -> None:
    weights = load_file(adapter / "adapter_model.safetensors")
    assert any(".visual." in name and "lora_B" in name and values.any() for name, values in weights.items())


def test_absent_base_weights_are_named_with_the_way_to_get_them() -> None:
    with pytest.raises(CheckpointError, match="hf download Nobody/None"):
        find_base("Nobody/None")


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
    load_model(tmp_path / "merged")
