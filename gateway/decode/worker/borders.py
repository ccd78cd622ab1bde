"""Borders: white or black bars around a still picture, which are no part of what is to be judged."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_BLACK, _WHITE = 14, 241
"""Every channel of a bar is at most, or at least, this: JPEG leaves a few grey levels."""
_EMPTY, _FULL = 0.02, 0.5
"""Share of a line's pixels that are not the bar's: at most in the bar, at least in the picture's first line."""
_SMEAR_PX = 8
"""A JPEG's blocks on the picture's edge belong to both."""
_LEAST_PX, _MOST_SHARE = 3, 0.4
"""Thickness of a bar."""
_BORDERED = "the {} border was left out: {} x {} of {} x {} pixels were judged"
_ALIKE = 0.25
"""Two opposite bars differ by this share of the thicker at most."""


@dataclass(frozen=True, slots=True)
class Borders:
    """Lines to leave out at each side."""

    top: int
    bottom: int
    left: int
    right: int

    def without(self, pixels: Pixels) -> Pixels:
        """(height, width, 3) -> the picture inside."""
        height, width = pixels.shape[:2]
        return pixels[self.top : height - self.bottom, self.left : width - self.right]


def inside(picture: Image.Image, warnings: list[str]) -> Image.Image:
    """The picture without its borders; a warning where it has any."""
    pixels = np.asarray(picture)
    found = found_borders(pixels)
    if found is None:
        return picture
    borders, name = found
    judged = Image.fromarray(borders.without(pixels))
    said = _BORDERED.format(name, judged.width, judged.height, picture.width, picture.height)
    warnings += [said] if said not in warnings else []
    return judged


def found_borders(pixels: Pixels) -> tuple[Borders, str] | None:
    """(height, width, 3) uint8 RGB -> the borders and their colour, None where there are none.

    A bar is as good as black or white and ends in a straight line all along the picture; a plain background ends
    where the subject does, a white sky at one side only. So two opposite bars of about one thickness are asked for.
    """
    for colour in ("black", "white"):
        if not _may_have(pixels, colour):
            continue
        inked = pixels.max(2) > _BLACK if colour == "black" else pixels.min(2) < _WHITE
        borders = _around(inked)
        if _alike(borders.top, borders.bottom) or _alike(borders.left, borders.right):
            return borders, colour
    return None


def _may_have(pixels: Pixels, colour: str) -> bool:
    """Quick: whether two opposite outermost lines are of the colour."""
    lines = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    top, bottom, left, right = ((line.max() <= _BLACK if colour == "black" else line.min() >= _WHITE) for line in lines)
    return bool((top and bottom) or (left and right))


def _around(inked: Mask) -> Borders:
    """Twice: a line of the picture is judged between the bars that cross it."""
    rows, columns = slice(None), slice(None)
    top = bottom = left = right = 0
    for _ in range(2):
        by_row, by_column = inked[:, columns].mean(1), inked[rows].mean(0)
        top, bottom = _bar(by_row), _bar(by_row[::-1])
        left, right = _bar(by_column), _bar(by_column[::-1])
        rows, columns = slice(top, len(by_row) - bottom), slice(left, len(by_column) - right)
    return Borders(top, bottom, left, right)


def _bar(shares: NDArray[np.float64]) -> int:
    """Lines of the bar at the front, 0 where there is none; shares: of each line, what is not of the bar's colour."""
    picture = shares >= _FULL
    if not picture.any():
        return 0
    end = int(picture.argmax())
    if end < _LEAST_PX or end > _MOST_SHARE * len(shares):
        return 0
    return end if (shares[: max(1, end - _SMEAR_PX)] <= _EMPTY).all() else 0


def _alike(first: int, second: int) -> bool:
    return min(first, second) > 0 and abs(first - second) <= max(2, _ALIKE * max(first, second))
