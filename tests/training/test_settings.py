"""A misspelt setting stops the run and is named."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from training.settings import read_settings

NANO = Path(__file__).parents[2] / "training" / "configs" / "nano.toml"


def test_a_misspelt_key_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "nano.toml"
    wrong.write_text(NANO.read_text(encoding="utf-8").replace("tower_rate", "tower_rat"), encoding="utf-8")
    with pytest.raises(ValidationError, match="tower_rat"):
        read_settings(wrong)
