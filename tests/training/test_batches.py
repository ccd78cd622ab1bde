"""Batches hold pictures of one size, pairs in front, the same ones for the same step."""

import io

import numpy as np
import pytest
from PIL import Image

from training.batches import Batches, Rated, Tray, framed
from training.photos import Photo


def batches(tray: Tray) -> Batches:
    pixels = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return Batches([Rated(Photo("0.png", "open", file.getvalue(), None, None), 0, 3.4, 3.4)], 10, 0, (tray,))


@pytest.mark.parametrize("frames", [1, 4])
def test_every_picture_has_the_size_of_its_tray(frames: int) -> None:
    tray = Tray("open", 56, 84, 6, 1.0, frames)
    assert {picture.frames.shape for picture in batches(tray)[3]} == {(frames, 56, 84, 3)}


def test_the_second_of_a_pair_is_never_better_than_the_first() -> None:
    pictures = batches(Tray("open", 56, 84, 20, 1.0))[0]
    pairs = [pictures[place : place + 2] for place in range(0, 12, 2)]
    assert all(first.kind == second.kind and first.truth.score > second.truth.score for first, second in pairs)


def test_the_same_step_gives_the_same_batch() -> None:
    tray = Tray("open", 56, 84, 4, 1.0)
    assert [p.truth for p in batches(tray)[5]] == [p.truth for p in batches(tray)[5]]


@pytest.mark.parametrize("seed", range(30))
def test_a_tilted_picture_shows_no_black_corner(seed: int) -> None:
    white = np.full((300, 400, 3), 255, np.uint8)
    pixels, _, _ = framed(white, Tray("open", 112, 140, 1, 1.0), np.random.default_rng(seed))
    assert pixels.min() > 250
