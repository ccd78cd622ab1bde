"""Claims: what a sentence may say of a picture, each measured in the pixels that the model is shown.

Every kind of claim has a handful of values that exclude one another, and one of them always holds. So a sentence has a
place for each kind, and nothing is said because it is usual. `evaluation claims` measures them again by other means.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.degrade import Pixels

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_THUMB_PX = 96
_PARTS = 6


@dataclass(frozen=True, slots=True)
class ClaimKind:
    """One thing that is claimed."""

    name: str
    words: Mapping[str, str]
    """Value -> how it is said."""


# Of the whole picture, not of a side of it: the language model tells hardly one place of a picture from another.
DETAIL = ClaimKind("detail", {"little": "little detail", "some": "some detail", "much": "much detail"})
LIGHT = ClaimKind("light", {"even": "even light", "some": "some light and shade", "strong": "strong light and shade"})
TONE = ClaimKind("tone", {"dark": "dark", "medium": "of medium brightness", "bright": "bright"})
CONTRAST = ClaimKind("contrast", {"low": "low contrast", "medium": "medium contrast", "high": "high contrast"})
COLOUR = ClaimKind(
    "colour",
    {"none": "hardly any colour", "muted": "muted colours", "natural": "natural colours", "strong": "strong colours"},
)
CAST = ClaimKind(
    "cast",
    {"warm": "a warm tint", "cool": "a cool tint", "green": "a green tint", "pink": "a pink tint", "no": "no tint"},
)
ENDS = ClaimKind(
    "ends",
    {
        "white": "burnt-out white parts",
        "black": "blocked black parts",
        "both": "burnt-out and blocked parts",
        "none": "no blocked or burnt-out parts",
    },
)
HUE = ClaimKind(
    "hue",
    {
        word: word
        for word in (
            "black", "dark", "grey", "white", "bright", "red", "orange", "yellow", "green", "blue", "purple", "brown",
        )
    },
)  # fmt: skip
SURROUNDINGS = ClaimKind("surroundings", {"plain": "plain ", "busy": "busy ", "neither": ""})
KINDS = (DETAIL, LIGHT, TONE, CONTRAST, COLOUR, CAST, ENDS, HUE, SURROUNDINGS)

Claims = Mapping[str, str]
"""ClaimKind -> value."""


def measured(pixels: Pixels) -> Claims:
    """Of a picture as the model is shown it."""
    picture = Image.fromarray(pixels)
    thumb = np.asarray(picture.resize((_THUMB_PX, _THUMB_PX), Image.Resampling.BOX), np.float32) / 255
    luma = thumb @ _LUMA
    edges = _edges(luma)
    low, high = np.quantile(luma, (0.05, 0.95))
    red, green, blue = thumb.mean((0, 1))
    border = _border(thumb)
    return {
        "detail": _of(float(edges.mean()), (("little", 0.065), ("some", 0.1)), "much"),
        "light": _of(_unevenness(luma), (("even", 0.12), ("some", 0.175)), "strong"),
        "tone": _of(float(luma.mean()), (("dark", 0.3), ("medium", 0.58)), "bright"),
        "contrast": _of(float(high - low), (("low", 0.45), ("medium", 0.72)), "high"),
        "colour": _of(
            float((thumb.max(2) - thumb.min(2)).mean()), (("none", 0.03), ("muted", 0.1), ("natural", 0.22)), "strong"
        ),
        "cast": _cast(float(red), float(green), float(blue)),
        "ends": _ends(pixels),
        "hue": hue(border),
        "surroundings": _of(float(_border(edges[..., None])[0]), (("plain", 0.03), ("neither", 0.1)), "busy"),
    }


def _of(number: float, borders: tuple[tuple[str, float], ...], last: str) -> str:
    return next((value for value, border in borders if number < border), last)


def _edges(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    edges = np.zeros_like(luma)
    edges[:, 1:] += np.abs(np.diff(luma, axis=1))
    edges[1:] += np.abs(np.diff(luma, axis=0))
    return edges


def _unevenness(luma: NDArray[np.float32]) -> float:
    """Standard deviation of the light of 36 parts."""
    side = len(luma) // _PARTS
    return float(luma.reshape(_PARTS, side, _PARTS, side).mean((1, 3)).std())


def _cast(red: float, green: float, blue: float) -> str:
    leans = {
        "warm": (red - blue) - 0.07,
        "cool": (blue - red) - 0.04,
        "green": (green - (red + blue) / 2) - 0.03,
        "pink": ((red + blue) / 2 - green) - 0.03,
    }
    most = max(leans, key=lambda name: leans[name])
    return most if leans[most] > 0 else "no"


def _ends(pixels: Pixels) -> str:
    white, black = (pixels.min(2) >= 250).mean() > 0.02, (pixels.max(2) <= 8).mean() > 0.05
    return {(True, True): "both", (True, False): "white", (False, True): "black", (False, False): "none"}[white, black]


def _border(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of the upper, left and right eighths: what is behind a subject lies there rather than below it."""
    eighth = len(values) // 8
    strips = (values[:eighth], values[:, :eighth], values[:, -eighth:])
    return np.asarray(np.concatenate([strip.reshape(-1, values.shape[-1]) for strip in strips]).mean(0))


def hue(rgb: NDArray[np.float32] | tuple[float, float, float]) -> str:
    """The nearest of HUE for a mean colour, channels 0..1."""
    red, green, blue = (float(channel) for channel in rgb)
    top, low = max(red, green, blue), min(red, green, blue)
    if top - low < 0.09:
        return next(word for word, limit in _GREYS if top <= limit)
    if top < 0.22:
        return "dark"
    turn = np.degrees(np.arctan2(3**0.5 * (green - blue), 2 * red - green - blue)) % 360
    word = next(word for word, limit in _TURNS if turn <= limit)
    return "brown" if word in ("red", "orange", "yellow") and top < 0.6 else word


_GREYS = (("black", 0.1), ("dark", 0.3), ("grey", 0.65), ("bright", 0.85), ("white", 1.01))
_TURNS = (
    ("red", 18), ("orange", 42), ("yellow", 68), ("green", 165), ("blue", 260), ("purple", 335), ("red", 361)
)  # fmt: skip
