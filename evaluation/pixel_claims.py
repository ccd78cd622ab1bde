"""Pixel claims: is what a sentence says of a picture true? Measured on the file itself, in CIELAB, by other means than
the labels that the words were learnt from (training/claims.py works in sRGB, on the picture as the model is shown it).

A number within a tenth of the scale's step from a border belongs to both sides of it: nobody could say which is right.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.claims import CAST, COLOUR, CONTRAST, DETAIL, ENDS, LIGHT, TONE, ClaimKind

Numbers = NDArray[np.float64]
_SIDE_PX, _SLOPE_PX = 160, 96
CHECKED = (DETAIL, LIGHT, TONE, CONTRAST, COLOUR, CAST, ENDS)
# L*, 0 to 100.
_TONE, _CONTRAST, _LIGHT, _L_TOLERANCE = (33.0, 61.0), (46.0, 73.0), (11.7, 17.1), 2.0
_DETAIL, _DETAIL_TOLERANCE = (4.5, 6.75), 0.25
"""Mean slope of L* at 96 px."""
# C*ab of the mean pixel.
_COLOUR, _C_TOLERANCE = (3.5, 10.0, 21.0), 1.2
_WHITE_SHARE, _BLACK_SHARE = 0.02, 0.05


@dataclass(frozen=True, slots=True)
class Checked:
    """One claim of one sentence."""

    kind: str
    said: str
    measured: str
    is_true: bool
    """Also where the measured number lies on a border."""


def claims_in(sentences: str) -> dict[str, str]:
    """ClaimKind -> value, as the words say; a kind that is not spoken of is not there."""
    found = {}
    for kind in CHECKED:
        # The longest first: "no tint" stands in no other, but "no blocked or burnt-out parts" holds another's words.
        for value, words in sorted(kind.words.items(), key=lambda pair: -len(pair[1])):
            if re.search(rf"(?<![\w-]){re.escape(words)}(?![\w-])", sentences):
                found[kind.name] = value
                break
    return found


def check(sentences: str, picture: Image.Image) -> list[Checked]:
    """Every claim of the sentences, against the picture."""
    possible = measured(picture)
    return [
        Checked(name, said, possible[name][0], said in possible[name]) for name, said in claims_in(sentences).items()
    ]


def measured(picture: Image.Image) -> Mapping[str, tuple[str, ...]]:
    """ClaimKind -> the value that holds, and a second one where the number lies on a border."""
    whole = np.asarray(picture.convert("RGB"))
    lab = _lab(picture.convert("RGB").resize((_SIDE_PX, _SIDE_PX), Image.Resampling.LANCZOS))
    lightness = lab[..., 0]
    small = _lab(picture.convert("RGB").resize((_SLOPE_PX, _SLOPE_PX), Image.Resampling.LANCZOS))
    low, high = np.quantile(lightness, (0.05, 0.95))
    chroma = float(np.hypot(lab[..., 1], lab[..., 2]).mean())
    return {
        "tone": _steps(float(lightness.mean()), _TONE, tuple(TONE.words), _L_TOLERANCE),
        "contrast": _steps(float(high - low), _CONTRAST, tuple(CONTRAST.words), _L_TOLERANCE * 1.5),
        "colour": _steps(chroma, _COLOUR, tuple(COLOUR.words), _C_TOLERANCE),
        "cast": _cast(lab[..., 1].mean(), lab[..., 2].mean()),
        "light": _steps(_unevenness(lightness), _LIGHT, tuple(LIGHT.words), _L_TOLERANCE / 2),
        "detail": _steps(_slope(small[..., 0]), _DETAIL, tuple(DETAIL.words), _DETAIL_TOLERANCE),
        "ends": _ends(whole),
    }


def _steps(number: float, borders: tuple[float, ...], values: tuple[str, ...], tolerance: float) -> tuple[str, ...]:
    place = int(np.searchsorted(borders, number))
    near = [at for at, border in enumerate(borders) if abs(number - border) <= tolerance]
    others = [values[at + 1 if place <= at else at] for at in near]
    return (values[place], *others)


def _unevenness(lightness: Numbers) -> float:
    """Standard deviation of the lightness of 25 parts, where training/claims.py takes 36."""
    side = _SIDE_PX // 5
    return float(lightness.reshape(5, side, 5, side).mean((1, 3)).std())


def _slope(lightness: Numbers) -> float:
    """Mean length of the gradient by central differences, where training/claims.py takes those of neighbours."""
    return float(np.hypot(*np.gradient(lightness)).mean())


def _leaning(more: Mapping[str, float], least: float, tolerance: float, otherwise: str) -> tuple[str, ...]:
    """The name of the largest number, if that is large enough; what is as good as the largest too."""
    first = max(more, key=lambda name: more[name])
    close = [name for name in more if name != first and more[name] > max(least, more[first] - tolerance)]
    if more[first] > least:
        return (first, *close, *((otherwise,) if more[first] < least + tolerance else ()))
    return (otherwise, *((first,) if more[first] > least - tolerance else ()))


def _cast(a: float, b: float) -> tuple[str, ...]:
    """a* runs from green to pink, b* from blue to yellow; skies and skin lean without a tint."""
    leans = {"warm": b - 6.5, "cool": -b - 3.0, "green": -a - 4.0, "pink": a - 5.0 if b < 6.5 else -1.0}
    return _leaning(leans, 0.0, 1.5, "no")


def _ends(pixels: NDArray[np.uint8]) -> tuple[str, ...]:
    white, black = float((pixels.min(2) >= 250).mean()), float((pixels.max(2) <= 8).mean())
    name = {(True, True): "both", (True, False): "white", (False, True): "black", (False, False): "none"}
    first = name[white > _WHITE_SHARE, black > _BLACK_SHARE]
    loose = {name[white > w, black > k] for w in (0.012, 0.03) for k in (0.035, 0.07)}
    return (first, *sorted(loose - {first}))


def _lab(picture: Image.Image) -> Numbers:
    """sRGB (IEC 61966-2-1) to CIELAB under D65."""
    srgb = np.asarray(picture, np.float64) / 255
    light = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = light @ to_xyz.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def balanced_accuracy(checked: list[Checked], kind: ClaimKind) -> float:
    """Mean over the values that hold somewhere of how often each was said where it holds."""
    mine = [each for each in checked if each.kind == kind.name]
    recalls = [
        np.mean([each.is_true for each in mine if each.measured == value])
        for value in kind.words
        if any(each.measured == value for each in mine)
    ]
    return float(np.mean(recalls)) if recalls else float("nan")
