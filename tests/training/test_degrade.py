"""Degradations keep a picture's size and do what their name says."""

import numpy as np
import pytest
from PIL import Image

from training import degrade
from training.degrade import Degradation, Pixels


@pytest.fixture
def pixels() -> Pixels:
    return np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)


@pytest.mark.parametrize("kind", degrade.KINDS)
def test_any_strength_that_is_drawn_can_be_applied(kind: str, pixels: Pixels) -> None:
    rng = np.random.default_rng(1)
    shapes = {degrade.degraded(pixels, degrade.draw(kind, rng), rng).shape for _ in range(8)}
    assert shapes == {pixels.shape}


def test_the_same_blur_takes_as_much_from_a_photo_twice_as_large(pixels: Pixels) -> None:
    large = np.asarray(Image.fromarray(pixels).resize((160, 120), Image.Resampling.BICUBIC))
    blur, rng = Degradation("blur", 30.0), np.random.default_rng(0)
    again = Image.fromarray(degrade.degraded(large, blur, rng)).resize((80, 60), Image.Resampling.BOX)
    assert np.abs(np.asarray(again, float) - degrade.degraded(pixels, blur, rng)).mean() < 2


def test_a_stop_less_halves_the_light() -> None:
    grey = np.full((4, 4, 3), 188, np.uint8)  # half of the light of white
    assert degrade.exposed(grey, -1.0).mean() == pytest.approx(137, abs=1)  # a quarter of it


@pytest.mark.parametrize(("sigma", "grade"), [(0.4, 3), (1.0, 2), (2.5, 1), (6.3, 0)])
def test_blur_is_graded_by_the_lines_that_it_leaves(sigma: float, grade: int) -> None:
    assert int(Degradation("blur", sigma).clarity_left() * 4) == grade


def test_an_unknown_kind_is_named(pixels: Pixels) -> None:
    with pytest.raises(ValueError, match="'smear'"):
        degrade.degraded(pixels, Degradation("smear", 1.0), np.random.default_rng(0))
