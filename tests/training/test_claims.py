"""Claims hold for pictures in which one can see that they do."""

import numpy as np
import pytest
from numpy.typing import NDArray

from training import claims

NOISE = np.random.default_rng(0).integers(90, 160, (96, 96, 3), np.uint8)


def grey(level: int = 120) -> NDArray[np.uint8]:
    return np.full((96, 96, 3), level, np.uint8)


def with_noise(share: float) -> NDArray[np.uint8]:
    picture = grey()
    rows = round(len(picture) * share)
    picture[:rows] = NOISE[:rows]
    return picture


def in_fields(level: int) -> NDArray[np.uint8]:
    """A half of that level next to a grey one."""
    picture = grey()
    picture[:, :48] = level
    return picture


@pytest.mark.parametrize(("share", "amount"), [(0.1, "little"), (0.7, "some"), (1.0, "much")])
def test_detail_is_as_much_as_was_put_in(share: float, amount: str) -> None:
    assert claims.measured(with_noise(share))["detail"] == amount


@pytest.mark.parametrize(("level", "light"), [(130, "even"), (200, "some"), (255, "strong")])
def test_light_is_as_uneven_as_it_was_made(level: int, light: str) -> None:
    assert claims.measured(in_fields(level))["light"] == light


@pytest.mark.parametrize(("level", "tone"), [(30, "dark"), (120, "medium"), (220, "bright")])
def test_a_grey_picture_has_the_tone_of_its_level(level: int, tone: str) -> None:
    assert claims.measured(grey(level))["tone"] == tone


@pytest.mark.parametrize(
    ("rgb", "cast"), [((200, 150, 90), "warm"), ((90, 120, 190), "cool"), ((120, 170, 120), "green")]
)
def test_a_tint_is_called_by_its_name(rgb: tuple[int, int, int], cast: str) -> None:
    assert claims.measured(np.full((96, 96, 3), rgb, np.uint8))["cast"] == cast


@pytest.mark.parametrize(
    ("rgb", "word"), [((0.05, 0.05, 0.05), "black"), ((0.1, 0.3, 0.8), "blue"), ((0.95, 0.95, 0.93), "white")]
)
def test_a_colour_is_called_what_people_call_it(rgb: tuple[float, float, float], word: str) -> None:
    assert claims.hue(rgb) == word


@pytest.mark.parametrize("kind", claims.KINDS)
def test_every_value_that_is_measured_has_words(kind: claims.ClaimKind) -> None:
    measured = {claims.measured(picture)[kind.name] for picture in (grey(0), grey(), grey(255), NOISE)}
    assert measured <= set(kind.words)
