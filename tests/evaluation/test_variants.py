"""evaluation/variants.py and levers.py: settings of a checkpoint changed, weights linked."""

import tomllib
from pathlib import Path

import pytest

from assay.checkpoint import read_checkpoint
from assay.errors import CheckpointError
from evaluation.variants import AUTHORS, FRAMES, Levers, grid, toml_lines, write_variant

CHECKPOINTS = Path(__file__).parents[2] / "checkpoints"


@pytest.fixture(params=["nano", "realqa-7b"])
def checkpoint(request: pytest.FixtureRequest) -> Path:
    return CHECKPOINTS / str(request.param)


def test_a_variant_without_changes_has_the_same_preprocessing(checkpoint: Path, tmp_path: Path) -> None:
    same = write_variant(checkpoint, tmp_path, {})
    assert same.preprocessing_fingerprint == read_checkpoint(checkpoint).preprocessing_fingerprint


def test_a_variant_with_a_change_has_another(checkpoint: Path, tmp_path: Path) -> None:
    changed = write_variant(checkpoint, tmp_path, {"clip.frames_per_second": 0.5})
    assert changed.preprocessing_fingerprint != read_checkpoint(checkpoint).preprocessing_fingerprint


def test_the_other_files_are_those_of_the_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    write_variant(checkpoint, tmp_path, {})
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in checkpoint.iterdir() if path.is_file()}


def test_a_setting_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="seconds_per_frame"):
        write_variant(CHECKPOINTS / "nano", tmp_path, {"clip.seconds_per_frame": 1})


def test_a_value_that_must_not_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="max_frames"):
        write_variant(CHECKPOINTS / "nano", tmp_path, {"clip.max_frames": 65})


@pytest.mark.parametrize("text", ['"quoted"', "two\nlines", "a\\b", "é 漢 \U0001f600", "\x7f\x01"])
def test_any_text_comes_back_from_toml(text: str) -> None:
    assert tomllib.loads("\n".join(toml_lines({"very blurry": {"a.b": text}}))) == {"very blurry": {"a.b": text}}


def test_the_prompt_swap_says_video(checkpoint: Path, tmp_path: Path) -> None:
    changed = write_variant(checkpoint, tmp_path, AUTHORS.changes(read_checkpoint(checkpoint)))
    assert "of this video" in changed.form["direct"].question_video


def test_without_the_swap_a_video_is_asked_about_as_an_image(checkpoint: Path, tmp_path: Path) -> None:
    levers = Levers(128 * 128, 2.0, wording="image")
    changed = write_variant(checkpoint, tmp_path, levers.changes(read_checkpoint(checkpoint)))
    assert "of this image" in changed.form["direct"].question_video


@pytest.mark.parametrize("modality", ["video", FRAMES])
def test_every_area_follows_the_frame_size(checkpoint: Path, tmp_path: Path, modality: str) -> None:
    levers = Levers(224 * 224, 2.0, modality=modality)
    pixels = write_variant(checkpoint, tmp_path, levers.changes(read_checkpoint(checkpoint))).pixels
    assert (pixels.max_pixels if modality == FRAMES else pixels.video_max_pixels) == 224 * 224


def test_the_grid_begins_with_the_authors_setting_and_holds_nothing_twice() -> None:
    settings = list(grid([128 * 128], [1.0, 2.0], [16, 64], [4.0, 1200.0], ["video", FRAMES], ["video"]))
    assert (settings[0], len(settings)) == (AUTHORS, len(set(settings)))


def test_frames_have_no_clips_to_vary() -> None:
    settings = list(grid([128 * 128], [2.0], [16, 64], [4.0, 1200.0], [FRAMES], ["video"]))
    assert len(settings) == 2
