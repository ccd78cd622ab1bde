"""The stage-1 model's word stands where nobody graded."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers import Qwen2VLForConditionalGeneration

from assay.checkpoint import ModelSpec
from training.batches import Rated
from training.labels import CONTENT
from training.photos import Photo
from training.rows import Writer
from training.self_label import self_labelled


def rated(row: int, content: dict[str, float]) -> Rated:
    file = io.BytesIO()
    Image.fromarray(np.full((60, 90 - row, 3), 40 * row, np.uint8)).save(file, "PNG")
    return Rated(Photo(f"{row}.png", "rated", file.getvalue(), 3.0, 3.0), row, 3.0, 3.0, content)


@pytest.fixture
def labelled(
    model: Qwen2VLForConditionalGeneration, writer: Writer, checkpoint: ModelSpec, tmp_path: Path
) -> list[Rated]:
    photos = [rated(0, {}), rated(1, {"level_shot": 0.5}), rated(2, {})]
    return self_labelled(model, writer, checkpoint, photos, 3, tmp_path / "labels.npz")


def test_every_photo_gets_a_place_for_what_nothing_decides(labelled: list[Rated]) -> None:
    assert all(set(each.content) == set(CONTENT) for each in labelled)


def test_a_place_lies_between_the_middles_of_the_first_and_the_last_grade(labelled: list[Rated]) -> None:
    assert all(0.5 <= each.content["subject_clutter"] <= 2.5 for each in labelled)


def test_what_somebody_graded_stays(labelled: list[Rated]) -> None:
    assert labelled[1].content["level_shot"] == 0.5


def test_a_model_is_not_asked_twice(
    model: Qwen2VLForConditionalGeneration, writer: Writer, checkpoint: ModelSpec, tmp_path: Path
) -> None:
    cache = tmp_path / "labels.npz"
    once = self_labelled(model, writer, checkpoint, [rated(0, {})], 1, cache)
    np.savez(cache, rows=[0], places=[[9.0] * len(CONTENT)])
    again = self_labelled(model, writer, checkpoint, [rated(0, {})], 1, cache)
    assert (once[0].content["level_shot"] < 2, again[0].content["level_shot"]) == (True, 9.0)
