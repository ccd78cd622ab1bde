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
        (("max_pixels = 100352", "max_pixels = 100352\nenlarge_first_pixels = 50176"), "at least max_pixels"),
        (("[score]", "[score"), "TOML"),
        (('name = "test"', 'name = "test"\ngrade_reading = "mean"'), "grade_reading"),
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


def test_how_grades_are_read_is_fingerprinted_unless_it_is_the_default(tmp_path):
    unset, likeliest, median = (
        read_checkpoint(written(tmp_path, line + ASSAY_TOML)).preprocessing_fingerprint
        for line in ("", 'grade_reading = "likeliest"\n', 'grade_reading = "median"\n')
    )
    assert unset == likeliest != median


def test_borders_are_fingerprinted_where_they_are_left_out(tmp_path):
    unset, stay, left_out = (
        read_checkpoint(written(tmp_path, ASSAY_TOML.replace("[pixels]", f"[pixels]{line}"))).preprocessing_fingerprint
        for line in ("", "\nleave_out_borders = false", "\nleave_out_borders = true")
    )
    assert unset == stay != left_out


VARIANTS = """
[variants.small.pixels]
max_pixels = 50176
[variants.shrunk.pixels]
shrink_first = { max_pixels = 262144, video_max_pixels = 16384, resample = "nearest" }
"""


def chosen(directory: Path, variant: str):
    return read_checkpoint(written(directory, f'variant = "{variant}"\n{ASSAY_TOML}{VARIANTS}'))


def test_a_variant_lies_over_the_rest(tmp_path):
    pixels = chosen(tmp_path, "small").pixels
    assert (pixels.min_pixels, pixels.max_pixels) == (3136, 50176)


def test_every_variant_has_a_fingerprint_of_its_own(tmp_path):
    assert len({chosen(tmp_path, name).preprocessing_fingerprint for name in ("", "small", "shrunk")}) == 3


def test_variants_that_are_not_chosen_do_not_change_the_fingerprint(tmp_path):
    alone = read_checkpoint(written(tmp_path)).preprocessing_fingerprint
    assert chosen(tmp_path, "").preprocessing_fingerprint == alone


def test_the_fingerprint_of_a_checkpoint_from_before_there_were_variants_is_what_it_was():
    nano = Path(__file__).parents[2] / "checkpoints" / "nano"
    settings = read_checkpoint(nano).model_dump_json(exclude={"name", "summary", "variant"}, exclude_none=True)
    assert "shrink_first" not in settings


def test_a_picture_is_not_made_smaller_and_larger_first(tmp_path):
    both = VARIANTS + "enlarge_first_pixels = 262144\n"
    with pytest.raises(CheckpointError, match=r"variants\.shrunk\.pixels: .*exclude each other"):
        read_checkpoint(written(tmp_path, ASSAY_TOML + both))


def test_an_unknown_variant_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(CheckpointError, match="no 'large'; there are small, shrunk"):
        chosen(tmp_path, "large")


def test_a_misspelt_key_of_a_variant_that_is_not_chosen_is_refused_by_name(tmp_path):
    misspelt = VARIANTS.replace("[variants.small.pixels]\nmax", "[variants.small.pixels]\nmxa")
    with pytest.raises(CheckpointError, match=r"variants\.small\.pixels\.mxa_pixels"):
        read_checkpoint(written(tmp_path, ASSAY_TOML + misspelt))
