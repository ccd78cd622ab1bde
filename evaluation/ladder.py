"""Ladder: a photo and five versions of it that get worse step by step, at the size it has."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from scipy.ndimage import gaussian_filter

STEPS = 6
_BLUR_REFERENCE_PX = 512


@dataclass(frozen=True, slots=True)
class Ladder:
    """One kind of damage and what should follow it."""

    name: str
    strengths: tuple[float, ...]
    """Of the steps after the original; the unit is that of the kind, see `damaged`."""
    attribute: str
    """The attribute whose grade should move with the step."""
    direction: int
    """-1 if that grade should fall with the step, 1 if it should rise. The score should always fall."""


LADDERS: Mapping[str, Ladder] = {
    ladder.name: ladder
    for ladder in (
        Ladder("blur", (1.0, 2.0, 3.0, 5.0, 8.0), "clarity", -1),
        Ladder("jpeg", (60, 40, 20, 10, 5), "clarity", -1),
        Ladder("underexposure", (-1.0, -2.0, -3.0, -4.0, -5.0), "exposure", -1),
        Ladder("overexposure", (0.5, 1.0, 1.5, 2.0, 3.0), "exposure", 1),
        Ladder("desaturation", (0.8, 0.6, 0.4, 0.2, 0.0), "saturation", -1),
    )
}


def original(path: Path) -> Image.Image:
    """The photo upright, RGB. OSError if it is no picture that can be decoded."""
    try:
        with Image.open(path) as picture:
            return ImageOps.exif_transpose(picture).convert("RGB")
    except Image.DecompressionBombError as error:
        raise OSError(f"the photo is too large: {error}") from error


def step(path: Path, name: str, number: int) -> bytes:
    """The photo at a step of a ladder (0: as it was), as a file.

    Every step but JPEG's own is PNG, so that nothing but the ladder's damage differs. OSError, KeyError, IndexError.
    """
    picture = original(path)
    if number == 0:
        return encoded(picture, "PNG")
    strength = LADDERS[name].strengths[number - 1]
    if name == "jpeg":
        return encoded(picture, "JPEG", quality=int(strength))
    return encoded(damaged(picture, name, strength), "PNG")


def damaged(picture: Image.Image, name: str, strength: float) -> Image.Image:
    """blur: sigma in pixels of a photo whose shorter side is 512. *exposure: EV, in linear light. desaturation: the
    factor on colour, 0 for grey, above 1 for more."""
    match name:
        case "blur":
            # The model sees photos at a size of its own, so a sigma in native pixels would mean less in a large one.
            return _blurred(picture, strength * min(picture.size) / _BLUR_REFERENCE_PX)
        case "underexposure" | "overexposure":
            return _exposed(picture, strength)
        case "desaturation":
            return ImageEnhance.Color(picture).enhance(strength)
    raise KeyError(name)


def _blurred(picture: Image.Image, sigma_px: float) -> Image.Image:
    # Not Pillow's own: its box approximation is off below a sigma of 0.5 (at 0.3 it takes 16 % of the contrast of
    # white noise, a Gaussian takes 2 %).
    pixels = gaussian_filter(np.asarray(picture, np.float32), (sigma_px, sigma_px, 0), mode="nearest")
    return Image.fromarray(pixels.round().astype(np.uint8))


def _exposed(picture: Image.Image, ev: float) -> Image.Image:
    """As if the shutter had been open 2**ev times as long: sRGB to light, times that, and back."""
    srgb = np.arange(256) / 255
    light = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    light = np.clip(light * 2.0**ev, 0.0, 1.0)
    back = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return picture.point([round(value * 255) for value in back] * 3)


def encoded(picture: Image.Image, file_format: str, quality: int = 0) -> bytes:
    """As a file: PNG, JPEG or WEBP; quality 1..100 for the latter two."""
    buffer = io.BytesIO()
    if file_format == "PNG":
        # Time matters more than size here: the file travels once.
        picture.save(buffer, "PNG", compress_level=1)
    else:
        picture.save(buffer, file_format, quality=quality)
    return buffer.getvalue()
