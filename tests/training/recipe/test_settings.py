from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file  # type: ignore[import-untyped]

from data.published import SETS
from training.recipe.settings import RecipeError, read_settings

CONFIGS = Path("training/recipe/configs")
TRAINED = [name for name in SETS if name != "konvid"]
"""Every set but the one of videos, which the paper scores zero-shot."""


@pytest.mark.parametrize("name", TRAINED)
def test_every_data_set_has_settings_named_after_it(name: str) -> None:
    assert read_settings(CONFIGS / f"{name}.toml").data_set == name


@pytest.mark.parametrize("name", TRAINED)
def test_the_miniature_can_be_laid_over_every_data_set(name: str) -> None:
    assert read_settings(CONFIGS / f"{name}.toml", [CONFIGS / "miniature.toml"]).optimiser.accumulate == 1


def test_the_authors_configuration_is_the_default() -> None:
    chosen = read_settings(CONFIGS / "koniq.toml")
    said = chosen.optimiser.rate, chosen.optimiser.batch, chosen.optimiser.accumulate, chosen.adapter.rank
    assert said == (1e-4, 2, 8, 128)


def test_a_misspelt_key_is_refused_by_name() -> None:
    with pytest.raises(RecipeError, match=r"optimiser\.learning_rate"):
        read_settings(CONFIGS / "koniq.toml", assignments=["optimiser.learning_rate=1e-3"])


def test_a_file_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(RecipeError, match="ava, from_scratch, koniq, livec, miniature, realqa, spaq, tad66k"):
        read_settings(CONFIGS / "conic.toml")


def test_an_adapter_is_not_sharded() -> None:
    with pytest.raises(RecipeError, match="sharded is for from_scratch"):
        read_settings(CONFIGS / "koniq.toml", assignments=["model.sharded=true"])


def test_from_scratch_is_sharded_over_four_gpus() -> None:
    chosen = read_settings(CONFIGS / "koniq.toml", [CONFIGS / "from_scratch.toml"]).model
    assert (chosen.from_scratch, chosen.sharded, chosen.gradient_checkpointing) == (True, True, True)
    launched = load_config_from_file(str(CONFIGS / "four_gpus.yaml"))
    assert (launched.num_processes, launched.distributed_type) == (4, "MULTI_GPU")


@pytest.mark.parametrize("name", TRAINED)
def test_files_are_held_out_where_no_split_was_published(name: str) -> None:
    assert (read_settings(CONFIGS / f"{name}.toml").held_out_share is None) == ("train" in SETS[name].counts)
