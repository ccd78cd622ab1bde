"""Batches hold pictures of one size, pairs in front, the same ones for the same step."""

import io

import numpy as np
import pytest
from PIL import Image

from training.batches import Batches, BatchShape, Rated
from training.photos import Photo


def batches(*shapes: BatchShape) -> Batches:
    pixels = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return Batches([Rated(Photo("0.png", "open", file.getvalue(), None, None), 0, 3.4, 3.4)], 10, 0, shapes)


@pytest.mark.parametrize("frames", [1, 4])
def test_every_picture_has_the_size_of_its_shape(frames: int) -> None:
    shape = BatchShape("open", 56, 84, 6, 1.0, frames)
    assert {picture.frames.shape for picture in batches(shape)[3]} == {(frames, 56, 84, 3)}


def test_the_second_of_a_pair_is_never_better_than_the_first() -> None:
    pictures = batches(BatchShape("open", 56, 84, 20, 1.0))[0]
    pairs = [pictures[place : place + 2] for place in range(0, 12, 2)]
    assert all(first.kind == second.kind and first.truth.score >= second.truth.score for first, second in pairs)


def test_a_pair_of_one_wrapping_and_another_keeps_its_score() -> None:
    pictures = [picture for step in range(8) for picture in batches(BatchShape("open", 56, 84, 20, 1.0))[step]]
    same = [picture.truth.score for picture in pictures if picture.kind == "same"]
    assert (len(same) > 2, same[0::2]) == (True, same[1::2])


def test_the_stronger_freeze_of_a_pair_of_clips_scores_less() -> None:
    clips = [picture for step in range(10) for picture in batches(BatchShape("open", 56, 84, 4, 1.0, 8))[step]]
    frozen = [picture for picture in clips if picture.kind == "freeze"]
    assert frozen
    assert all(a.truth.score >= b.truth.score for a, b in zip(frozen[0::2], frozen[1::2], strict=True))


def test_a_plain_shape_shows_photos_as_they_are() -> None:
    pictures = batches(BatchShape("open", 56, 84, 6, 1.0, is_plain=True))[0]
    assert {(picture.kind, picture.made.degradations, picture.is_plain) for picture in pictures} == {("", (), True)}


def test_a_shape_whose_source_has_no_photos_is_left_out() -> None:
    both = batches(BatchShape("rated", 84, 56, 4, 0.9), BatchShape("open", 56, 84, 4, 0.1))
    assert {both[step][0].frames.shape[1:3] for step in range(8)} == {(56, 84)}


def test_the_same_step_gives_the_same_batch() -> None:
    shape = BatchShape("open", 56, 84, 4, 1.0)
    assert [p.truth for p in batches(shape)[5]] == [p.truth for p in batches(shape)[5]]
