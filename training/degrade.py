"""Degradations of known strength, applied to a photo at its native size, and how much each one hurts.

Strength is continuous and starts at nothing, so that mild steps occur as often as strong ones. Lengths are given
in pixels of a picture whose shorter side is 512, whatever size the photo has: that is what stays the same when the
picture is brought to the size that the model takes. The borders between grades of clarity, exposure and saturation are
visible units, and the same as those that evaluation/truth.py states.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

Pixels = NDArray[np.uint8]
REFERENCE_PX = 512
BLURRING = ("blur", "motion", "downscale", "noise", "jpeg", "webp")
EXPOSING = ("underexpose", "overexpose")
COLOURING = ("desaturate", "oversaturate")
KINDS = (*BLURRING, *EXPOSING, *COLOURING)
# Ladders will be climbed along these five, so they are drawn more often; the shares add up to 1.
LADDERS = {"blur": 0.12, "jpeg": 0.32, "underexpose": 0.1, "overexpose": 0.32, "desaturate": 0.14}


@dataclass(frozen=True, slots=True)
class Degradation:
    """One kind at one strength."""

    kind: str
    amount: float
    """Gaussian sigma (blur), the sigma that leaves as many lines (downscale), length (motion): pixels of a picture
    whose shorter side is 512. Levels of 255 at that size (noise); quality 1..100 (jpeg, webp); stops of light
    (underexpose, overexpose); colour factor (desaturate < 1, oversaturate > 1)."""

    def clarity_left(self) -> float:
        """1 (untouched) to 0, in quarters: 3/4 is where "very clear" ends, 1/2 where clear ends, 1/4 where blurry
        becomes "very blurry"."""
        amount = self.amount
        match self.kind:
            case "blur" | "downscale":
                return _fallen(amount, _BLURS)
            case "motion":
                return _fallen(amount / 4, _BLURS)
            case "noise":
                return _fallen(amount, _NOISES)
            case "jpeg":
                return float(np.interp(amount, _JPEG_QUALITIES, _JPEG_PLACES)) / 4
            case "webp":
                return float(np.interp(amount, _WEBP_QUALITIES, _QUALITY_PLACES)) / 4
        return 1.0

    def damage(self) -> float:
        """0 (invisible) to 1 (ruined), strictly rising with strength."""
        if self.kind in BLURRING:
            return float((1 - self.clarity_left()) ** 1.4)
        if self.kind in COLOURING:
            away = self.amount
            # Strong colour hurts little: else a photo that is colourful by nature gains by losing some of it.
            return 0.65 * float(1 - away) if away <= 1 else 0.12 * _saturating(away - 1, 1.6, 1.5)
        return _saturating(self.amount, *_EXPOSURES[self.kind])


_PLACES = (4.0, 3.0, 2.0, 1.0, 0.05)
_BLURS = (0.1, 0.64, 1.6, 4.0, 12.0)
_NOISES = (2.0, 14.0, 36.0, 80.0, 200.0)
_JPEG_QUALITIES = (1, 8, 25, 60, 90, 100)
_WEBP_QUALITIES = (0, 6, 22, 55, 88, 100)
_QUALITY_PLACES = (0.15, 1.0, 2.0, 3.0, 3.8, 4.0)
# Stricter than JPEG's own borders by up to half a grade: in a photo that is brought down much of it is invisible, and
# a model that is not sure says "very clear".
_JPEG_PLACES = (0.1, 0.7, 1.6, 2.5, 3.75, 4.0)
# kind -> (stops that do 63 % of the damage, steepness)
_EXPOSURES = {"underexpose": (3.2, 1.25), "overexpose": (2.0, 1.15)}


def _fallen(amount: float, borders: Sequence[float]) -> float:
    return float(np.interp(np.log(max(amount, 1e-3)), np.log(borders), _PLACES)) / 4


def _saturating(amount: float, scale: float, power: float) -> float:
    return float(1 - np.exp(-((amount / scale) ** power)))


def draw(kind: str, rng: np.random.Generator) -> Degradation:
    """A strength anywhere from barely there to ruinous."""
    u = float(rng.random())
    amounts = {
        "blur": 0.25 * 44**u,
        "motion": 2 + 38 * u**2,
        "downscale": 0.9 + 9 * u**1.5,
        "noise": 4 + 150 * u**1.5,
        "jpeg": float(np.interp(u, (0, 0.15, 0.6, 1), (97, 70, 20, 2))),
        "webp": float(np.interp(u, (0, 0.25, 1), (90, 50, 0))),
        "underexpose": 0.15 + 5.5 * u**1.1,
        "overexpose": 0.15 + 3.3 * u**1.1,
        "desaturate": 1 - u**0.85,
        "oversaturate": 1.1 + 2.9 * u,
    }
    return Degradation(kind, amounts[kind])


def degraded(pixels: Pixels, degradation: Degradation, rng: np.random.Generator) -> Pixels:
    """The photo, at the size it had."""
    amount = degradation.amount
    picture = Image.fromarray(pixels)
    scale = min(picture.size) / REFERENCE_PX
    match degradation.kind:
        case "blur":
            return np.asarray(picture.filter(ImageFilter.GaussianBlur(amount * scale)))
        case "motion":
            return _moved(pixels, amount * scale, rng)
        case "downscale":
            # A sigma of s leaves half of the contrast at 192 / s lines.
            return _downscaled(picture, max(1.02, min(picture.size) * amount / 192))
        case "noise":
            noise = rng.standard_normal(pixels.shape, dtype=np.float32) * (amount * scale)
            return np.clip(pixels + noise, 0, 255).astype(np.uint8)
        case "jpeg" | "webp":
            return _compressed(picture, degradation.kind, round(amount))
        case "underexpose" | "overexpose":
            return exposed(pixels, -amount if degradation.kind == "underexpose" else amount)
        case "desaturate" | "oversaturate":
            return np.asarray(ImageEnhance.Color(picture).enhance(amount))
    raise ValueError(f"unknown degradation {degradation.kind!r}; known are {', '.join(KINDS)}")


def exposed(pixels: Pixels, stops: float) -> Pixels:
    """As if the shutter had been open 2**stops times as long: sRGB (IEC 61966-2-1) to light, times that, and back."""
    srgb = np.arange(256) / 255
    light = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    light = np.clip(light * 2.0**stops, 0.0, 1.0)
    back = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray((back * 255).round().astype(np.uint8)[pixels])


def _moved(pixels: Pixels, length_px: float, rng: np.random.Generator) -> Pixels:
    angle = rng.random() * np.pi
    steps = min(max(2, round(length_px)), 15)
    total = np.zeros(pixels.shape, np.uint16)
    padded = np.pad(pixels, ((m := round(length_px / 2) + 1, m), (m, m), (0, 0)), mode="edge")
    height, width = pixels.shape[:2]
    for along in np.linspace(-length_px / 2, length_px / 2, steps):
        y, x = m + round(along * np.sin(angle)), m + round(along * np.cos(angle))
        total += padded[y : y + height, x : x + width]
    return (total // steps).astype(np.uint8)


def _downscaled(picture: Image.Image, factor: float) -> Pixels:
    small = picture.resize(
        (max(1, round(picture.width / factor)), max(1, round(picture.height / factor))), Image.Resampling.BILINEAR
    )
    return np.asarray(small.resize(picture.size, Image.Resampling.BICUBIC))


def _compressed(picture: Image.Image, kind: str, quality: int) -> Pixels:
    buffer = io.BytesIO()
    if kind == "jpeg":
        picture.save(buffer, "JPEG", quality=max(1, quality))
    else:
        picture.save(buffer, "WEBP", quality=max(0, quality), method=0)
    with Image.open(buffer) as again:
        return np.asarray(again.convert("RGB"))
