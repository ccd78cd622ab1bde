"""assay.toml: read, checked, fingerprinted."""

from pathlib import Path

import pytest

from assay.checkpoint import read_checkpoint
from assay.errors import CheckpointError
from tests.checkpoints import ASSAY_TOML


def written(directory: Path, text: str = ASSAY_TOML) -> Path:
    (directory / "assay.toml").write_text(text)
    return directory


def test_a_directory_without_assay_toml_is_refused_by_name(tmp_path):
    with pytest.raises(CheckpointError, match=r"assay\.toml is missing"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("change", "culprit"),
    [
        (("min_pixels", "mni_pixels"), "pixels"),
        (("maximum = 10.0", 'maximum = "ten"'), r"score\.maximum"),
        (("[form.natural]", "[form.poetic]"), "poetic"),
        (("max_pixels = 100352", "max_pixels = 3"), "least area"),
        (("[score]", "[score"), "TOML"),
    ],
)
def test_a_misspelt_or_impossible_key_is_refused_by_name(tmp_path, change, culprit):
    with pytest.raises(CheckpointError, match=culprit):
        read_checkpoint(written(tmp_path, ASSAY_TOML.replace(*change, 1)))


def test_another_prompt_is_another_fingerprint(tmp_path):
    before = read_checkpoint(written(tmp_path)).preprocessing_fingerprint
    after = read_checkpoint(written(tmp_path, ASSAY_TOML.replace("Rate", "Grade"))).preprocessing_fingerprint
    assert before != after


def test_another_name_is_not_another_fingerprint(tmp_path):
    before = read_checkpoint(written(tmp_path)).preprocessing_fingerprint
    renamed = ASSAY_TOML.replace('name = "test"', 'name = "other"')
    assert read_checkpoint(written(tmp_path, renamed)).preprocessing_fingerprint == before
