"""A view shows no black corner, a turned one gives itself away by its turn alone, and both have the served size."""

import numpy as np
import pytest
from PIL import Image

from assay.checkpoint import ModelSpec
from gateway.decode.spec import Target
from gateway.decode.worker.resize import resize_picture
from tests.training.test_loop import noise_photo
from training.batches import Batches, BatchShape, Rated
from training.framing import framed, served, turn

WHITE = np.full((300, 400, 3), 255, np.uint8)


@pytest.mark.parametrize("seed", range(30))
def test_no_view_shows_a_black_corner(seed: int) -> None:
    assert framed(WHITE, 112, 140, np.random.default_rng(seed)).pixels.min() > 250


@pytest.mark.parametrize("degrees", [-14, -3, 0, 8])
def test_a_level_view_and_a_turned_one_are_of_one_size(degrees: float) -> None:
    turned = turn(WHITE, degrees, 14, 112, 140)
    assert turned.pixels.shape == turn(WHITE, 0, 14, 112, 140).pixels.shape


def test_a_turned_view_says_by_how_much() -> None:
    assert turn(WHITE, -5, 5, 112, 140).tilt_degrees == -5


def test_a_small_photo_is_never_cropped_but_to_turn_it() -> None:
    small = np.zeros((224, 224, 3), np.uint8)
    views = [framed(small, 196, 308, np.random.default_rng(seed)) for seed in range(60)]
    assert {view.pixels.shape for view in views if not view.tilt_degrees} == {(224, 224, 3)}


def test_a_view_that_cuts_the_middle_off_says_so() -> None:
    views = [framed(np.zeros((600, 900, 3), np.uint8), 196, 308, np.random.default_rng(seed)) for seed in range(40)]
    assert {view.cut for view in views} == {0.0, 1.0}


@pytest.mark.parametrize("size", [(224, 224), (100, 90), (130, 300), (675, 900)])
def test_the_pixels_are_those_of_the_gateway(checkpoint: ModelSpec, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    budget = checkpoint.pixels
    assert budget.enlarge_first_pixels
    target = Target(budget.min_pixels, budget.max_pixels, enlarge_first_pixels=budget.enlarge_first_pixels)
    assert np.array_equal(served(pixels, budget), resize_picture(Image.fromarray(pixels), target))


def test_pictures_are_trained_on_as_they_are_served() -> None:
    small = Rated(noise_photo(0), 0, 3.0, 3.0)
    plain, enlarged = (
        Batches([small], 1, shapes=(BatchShape("rated", 56, 56, 4, 1.0),), enlarge_first_pixels=area)[0]
        for area in (0, 40_000)
    )
    assert [picture.truth for picture in plain] == [picture.truth for picture in enlarged]
    assert not any(np.array_equal(a.frames, b.frames) for a, b in zip(plain, enlarged, strict=True))
