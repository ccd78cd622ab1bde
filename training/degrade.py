"""Degradations of known strength, applied to a photo at its native size, and how much each one hurts.

Strength is continuous and starts at nothing, so that mild steps are seen as often as strong ones. Lengths are given
in pixels of the *served* picture (after the resize to the pixel budget): that is what the model can see. `shrink` is
the native width over the served width.
"""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

Pixels = NDArray[np.uint8]
BLURRING = ("blur", "motion", "downscale", "noise", "jpeg", "webp")
KINDS = (*BLURRING, "underexpose", "overexpose", "desaturate", "oversaturate")
# Ladders will be climbed along these five, so they are drawn more often; the shares add up to 1.
LADDERS = {"blur": 0.18, "jpeg": 0.22, "underexpose": 0.22, "overexpose": 0.2, "desaturate": 0.18}


@dataclass(frozen=True, slots=True)
class Degradation:
    """One kind at one strength."""

    kind: str
    amount: float
    """Served pixels of Gaussian sigma (blur), of length (motion), of block (downscale); levels of 255 (noise);
    quality 1..100 (jpeg, webp); stops of sRGB gain (underexpose, overexpose); colour factor (desaturate < 1,
    oversaturate > 1)."""

    def damage(self, shrink: float) -> float:
        """0 (invisible) to 1 (ruined), strictly rising with strength."""
        amount = self.amount
        if self.kind in ("jpeg", "webp"):
            return float(np.interp(amount, _QUALITIES, _QUALITY_DAMAGES) * shrink**-0.35)
        if self.kind == "noise":
            return _saturating(amount / shrink**0.7, 30.0, 1.1)
        if self.kind in ("desaturate", "oversaturate"):
            return 0.65 * float(1 - amount) if amount <= 1 else 0.5 * _saturating(amount - 1, 1.6, 1.5)
        return _saturating(amount, *_SCALES[self.kind])


_QUALITIES = (1, 5, 10, 20, 30, 50, 75, 90, 100)
_QUALITY_DAMAGES = (1.0, 0.85, 0.68, 0.48, 0.36, 0.24, 0.13, 0.05, 0.0)
# kind -> (amount that does 63 % of the damage, steepness)
_SCALES = {
    "blur": (1.6, 1.1),
    "motion": (6.0, 1.1),
    "downscale": (4.0, 1.2),
    "underexpose": (1.6, 1.25),
    "overexpose": (1.2, 1.15),
}


def _saturating(amount: float, scale: float, power: float) -> float:
    return float(1 - np.exp(-((amount / scale) ** power)))


def draw(kind: str, rng: np.random.Generator) -> Degradation:
    """A strength anywhere from barely there to ruinous."""
    u = float(rng.random())
    amounts = {
        "blur": 0.15 * 32**u,
        "motion": 1.5 + 14 * u**2,
        "downscale": 1.2 + 7 * u**1.5,
        "noise": 2 + 68 * u**1.5,
        "jpeg": float(np.interp(u, (0, 0.2, 0.6, 1), (97, 70, 20, 2))),
        "webp": float(np.interp(u, (0, 0.3, 1), (90, 50, 1))),
        "underexpose": 0.08 + 3.3 * u**1.2,
        "overexpose": 0.08 + 2.4 * u**1.2,
        "desaturate": 1 - u**0.85,
        "oversaturate": 1.1 + 2.4 * u,
    }
    return Degradation(kind, amounts[kind])


def degraded(pixels: Pixels, degradation: Degradation, shrink: float, rng: np.random.Generator) -> Pixels:
    """The photo, at the size it had."""
    amount = degradation.amount
    picture = Image.fromarray(pixels)
    match degradation.kind:
        case "blur":
            return np.asarray(picture.filter(ImageFilter.GaussianBlur(amount * shrink)))
        case "motion":
            return _moved(pixels, amount * shrink, rng)
        case "downscale":
            return _downscaled(picture, amount * shrink)
        case "noise":
            noise = rng.standard_normal(pixels.shape, dtype=np.float32) * amount
            return np.clip(pixels + noise, 0, 255).astype(np.uint8)
        case "jpeg" | "webp":
            return _compressed(picture, degradation.kind, round(amount))
        case "underexpose" | "overexpose":
            stops = -amount if degradation.kind == "underexpose" else amount
            table = np.clip(np.arange(256) * 2.0**stops, 0, 255).round().astype(np.uint8)
            return np.asarray(table[pixels])
        case "desaturate" | "oversaturate":
            return np.asarray(ImageEnhance.Color(picture).enhance(amount))
    raise ValueError(f"unknown degradation {degradation.kind!r}; known are {', '.join(KINDS)}")


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
