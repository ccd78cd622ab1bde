"""Degradations keep a picture's size and do what their name says."""

import numpy as np
import pytest

from training import degrade
from training.degrade import Degradation, Pixels


@pytest.fixture
def pixels() -> Pixels:
    return np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)


@pytest.mark.parametrize("kind", degrade.KINDS)
def test_any_strength_that_is_drawn_can_be_applied(kind: str, pixels: Pixels) -> None:
    rng = np.random.default_rng(1)
    shapes = {degrade.degraded(pixels, degrade.draw(kind, rng), 2.0, rng).shape for _ in range(8)}
    assert shapes == {pixels.shape}


def test_blur_takes_detail_away(pixels: Pixels) -> None:
    blurred = degrade.degraded(pixels, Degradation("blur", 2.0), 1.0, np.random.default_rng(0))
    assert blurred.std() < pixels.std() / 2


def test_a_stop_less_halves_every_value(pixels: Pixels) -> None:
    dark = degrade.degraded(pixels, Degradation("underexpose", 1.0), 1.0, np.random.default_rng(0))
    assert np.abs(dark - pixels / 2).max() <= 0.5


def test_an_unknown_kind_is_named(pixels: Pixels) -> None:
    with pytest.raises(ValueError, match="'smear'"):
        degrade.degraded(pixels, Degradation("smear", 1.0), 1.0, np.random.default_rng(0))
