"""A view shows no black corner, and a turned one gives itself away by nothing but its turn."""

import numpy as np
import pytest

from training.framing import framed, turn

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
