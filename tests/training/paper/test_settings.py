from pathlib import Path

import pytest

from training.paper.settings import SettingsError, read_settings

CONFIGS = Path("training/paper/configs")


@pytest.mark.parametrize("name", ["realqa", "koniq", "ava"])
def test_every_data_set_has_settings_named_after_it(name: str) -> None:
    assert read_settings(CONFIGS / f"{name}.toml").data_set == name


@pytest.mark.parametrize("name", ["realqa", "koniq", "ava"])
def test_the_miniature_can_be_laid_over_every_data_set(name: str) -> None:
    assert read_settings(CONFIGS / f"{name}.toml", [CONFIGS / "miniature.toml"]).optimiser.accumulate == 1


def test_the_authors_configuration_is_the_default() -> None:
    chosen = read_settings(CONFIGS / "koniq.toml")
    said = chosen.optimiser.rate, chosen.optimiser.batch, chosen.optimiser.accumulate, chosen.adapter.rank
    assert said == (1e-4, 2, 8, 128)


def test_a_misspelt_key_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match=r"optimiser\.learning_rate"):
        read_settings(CONFIGS / "koniq.toml", assignments=["optimiser.learning_rate=1e-3"])


def test_a_file_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(SettingsError, match="ava, koniq, miniature, realqa"):
        read_settings(CONFIGS / "conic.toml")
