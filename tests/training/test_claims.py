"""Claims hold for pictures in which one can see that they do."""

import numpy as np
import pytest
from numpy.typing import NDArray

from training import claims

NOISE = np.random.default_rng(0).integers(90, 160, (96, 96, 3), np.uint8)


def grey(level: int = 120) -> NDArray[np.uint8]:
    return np.full((96, 96, 3), level, np.uint8)


def with_noise(rows: slice, columns: slice) -> NDArray[np.uint8]:
    picture = grey()
    picture[rows, columns] = NOISE[rows, columns]
    return picture


def brighter(rows: slice, columns: slice) -> NDArray[np.uint8]:
    picture = grey()
    picture[rows, columns] = 180
    return picture


WHOLE = slice(None)


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ((WHOLE, slice(0, 40)), "left"),
        ((WHOLE, slice(56, 96)), "right"),
        ((slice(0, 40), WHOLE), "above"),
        ((slice(56, 96), WHOLE), "below"),
        ((slice(28, 68), slice(28, 68)), "middle"),
        ((WHOLE, WHOLE), "everywhere"),
    ],
)
def test_detail_lies_where_it_was_put(where: tuple[slice, slice], place: str) -> None:
    assert claims.measured(with_noise(*where))["detail"] == place


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ((WHOLE, slice(0, 48)), "left"),
        ((slice(48, 96), WHOLE), "below"),
        ((slice(24, 72), slice(24, 72)), "middle"),
        ((slice(0, 0), WHOLE), "even"),
    ],
)
def test_light_lies_where_it_was_put(where: tuple[slice, slice], place: str) -> None:
    assert claims.measured(brighter(*where))["light"] == place


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
