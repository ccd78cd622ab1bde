"""Batches: a step number becomes pictures of one size with their labels. The same step always gives the same batch.

About half of each batch are pairs: one photo twice with the same degradation at two strengths, so that the loss can
ask for the difference (a ladder) and not only for the level.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import Dataset

from training import degrade, labels
from training.degrade import Degradation, Pixels
from training.labels import Made, Truth
from training.photos import Photo


@dataclass(frozen=True, slots=True)
class Tray:
    """One shape of batch."""

    source: str
    height_px: int
    width_px: int
    size: int
    share: float
    frames: int = 1
    """More than one: a video, made by panning over the photo."""


TRAYS = (
    Tray("para", 224, 224, 16, 0.70),
    Tray("para", 168, 168, 24, 0.07),
    Tray("open", 252, 364, 8, 0.10),
    Tray("open", 364, 252, 8, 0.06),
    Tray("open", 308, 308, 8, 0.05),
    Tray("open", 224, 420, 8, 0.02),
)
VIDEO_TRAYS = (
    Tray("para", 196, 196, 6, 0.03, frames=4),
    Tray("para", 168, 168, 8, 0.02, frames=2),
    Tray("open", 168, 252, 4, 0.02, frames=8),
)


@dataclass(frozen=True, slots=True)
class Picture:
    """One training picture."""

    frames: Pixels
    """(frames, height, width, 3) at the served size; one frame for an image."""
    truth: Truth
    row: int
    """Place of its photo in the teacher's tables (para rows first, then open rows)."""
    kind: str
    """Degradation of the pair it belongs to; "" for a single."""
    made: Made
    looks: labels.Looks


@dataclass(frozen=True, slots=True)
class Rated:
    """A photo with what is known of it."""

    photo: Photo
    row: int
    mos: float
    quality: float


class Batches(Dataset[list[Picture]]):
    """Indexed by step. In a pair the weaker degradation comes first; pairs stand at the front of a batch."""

    def __init__(self, rated: Sequence[Rated], steps: int, seed: int = 0, trays: Sequence[Tray] = TRAYS) -> None:
        self._rated = {source: [r for r in rated if r.photo.source == source] for source in ("para", "open")}
        self._steps, self._seed, self._trays = steps, seed, trays
        self._decoded: dict[int, Pixels] = {}

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, step: int) -> list[Picture]:
        rng = np.random.default_rng((self._seed, step))
        shares = np.array([tray.share for tray in self._trays])
        tray = self._trays[rng.choice(len(self._trays), p=shares / shares.sum())]
        pairs = round(tray.size * 0.6 / 2)
        pictures: list[Picture] = []
        for _ in range(pairs):
            pictures += self._pair(tray, rng)
        while len(pictures) < tray.size:
            pictures.append(self._single(tray, rng))
        return pictures

    def _pick(self, tray: Tray, rng: np.random.Generator) -> tuple[Rated, Pixels, float, float]:
        """A photo, framed for the tray: pixels at native detail, tilt in degrees, cut 0..1."""
        photos = self._rated[tray.source]
        rated = photos[rng.integers(len(photos))]
        pixels = rated.photo.decode() if rated.photo.source == "para" else self._open_pixels(rated)
        if rng.random() < 0.5:
            pixels = pixels[:, ::-1]
        pixels, tilt_degrees, cut = framed(pixels, tray, rng)
        return rated, np.ascontiguousarray(pixels), tilt_degrees, cut

    def _open_pixels(self, rated: Rated) -> Pixels:
        if rated.row not in self._decoded:
            self._decoded[rated.row] = rated.photo.decode()
        return self._decoded[rated.row]

    def _pair(self, tray: Tray, rng: np.random.Generator) -> list[Picture]:
        rated, pixels, tilt, cut = self._pick(tray, rng)
        way = int(rng.integers(2**31))
        kinds, shares = list(degrade.LADDERS), list(degrade.LADDERS.values())
        kind = str(rng.choice(kinds, p=shares) if rng.random() < 0.75 else rng.choice(degrade.KINDS))
        first, second = degrade.draw(kind, rng), degrade.draw(kind, rng)
        if first.damage(1.0) > second.damage(1.0):
            first, second = second, first
        weaker = () if rng.random() < 0.35 else (first,)
        return [self._picture(tray, rated, pixels, tilt, cut, done, kind, rng, way) for done in (weaker, (second,))]

    def _single(self, tray: Tray, rng: np.random.Generator) -> Picture:
        rated, pixels, tilt, cut = self._pick(tray, rng)
        several = rng.choice(4, p=[0.8, 0.1, 0.07, 0.03]) if tray.source == "para" else rng.choice(3)
        done = tuple(degrade.draw(str(kind), rng) for kind in rng.choice(degrade.KINDS, several, replace=False))
        return self._picture(tray, rated, pixels, tilt, cut, done, "", rng, int(rng.integers(2**31)))

    def _picture(
        self,
        tray: Tray,
        rated: Rated,
        pixels: Pixels,
        tilt_degrees: float,
        cut: float,
        done: tuple[Degradation, ...],
        kind: str,
        rng: np.random.Generator,
        way: int,
    ) -> Picture:
        shrink = max(1.0, pixels.shape[1] / tray.width_px)
        made = Made(rated.mos, rated.quality, tilt_degrees, cut, done, shrink)
        seen = labels.looks(pixels)
        for degradation in done:
            pixels = degrade.degraded(pixels, degradation, shrink, rng)
        return Picture(frames_of(pixels, tray, way), labels.truth(made, seen), rated.row, kind, made, seen)


def resized(pixels: Pixels, height_px: int, width_px: int) -> Pixels:
    """Bicubic with antialiasing, as the picture is resized when it is served."""
    if pixels.shape[:2] == (height_px, width_px):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width_px, height_px), Image.Resampling.BICUBIC))


def frames_of(pixels: Pixels, tray: Tray, way: int) -> Pixels:
    """(frames, height, width, 3): the picture itself, or a pan with a little shake over it; `way` is its seed."""
    if tray.frames == 1:
        return resized(pixels, tray.height_px, tray.width_px)[None]
    rng = np.random.default_rng(way)
    height, width = pixels.shape[:2]
    room = 1.0 if height <= tray.height_px else min(1.0, max(tray.height_px / height, 0.85))
    crop_height, crop_width = round(height * room), round(width * room)
    slack = np.array([height - crop_height, width - crop_width])
    begin, end = rng.random((2, 2)) * slack
    shots = []
    for along in np.linspace(0, 1, tray.frames):
        y, x = np.clip(np.round(begin + (end - begin) * along + rng.normal(0, 1, 2)), 0, slack).astype(int)
        shots.append(resized(pixels[y : y + crop_height, x : x + crop_width], tray.height_px, tray.width_px))
    return np.stack(shots)


def framed(pixels: Pixels, tray: Tray, rng: np.random.Generator) -> tuple[Pixels, float, float]:
    """Crop (and in a quarter of the cases tilt) to the tray's shape; never enlarges a picture.

    -> (pixels, tilt in degrees, cut). A tilted picture is cropped inside the turned one, so no corner is black.
    """
    height, width = pixels.shape[:2]
    # A video of a small photo pans over all of it at full detail.
    if (height, width) == (tray.height_px, tray.width_px) or (tray.frames > 1 and max(height, width) <= 224):
        return pixels, 0.0, 0.0
    aspect = tray.width_px / tray.height_px
    full_height = min(height, width / aspect)
    tilt = 0.0
    if rng.random() < 0.25:
        tilt = float(rng.uniform(4, 18) * rng.choice([-1, 1]))
        pixels = np.asarray(Image.fromarray(pixels).rotate(tilt, Image.Resampling.BICUBIC))
        # The largest crop of this aspect that stays inside a rectangle turned about its middle.
        sine, cosine = np.sin(np.radians(abs(tilt))), np.cos(np.radians(tilt))
        full_height = min(height / (cosine + aspect * sine), width / (aspect * cosine + sine))
    least = min(1.0, tray.height_px / full_height)  # no enlarging
    cut, scale = 0.0, float(rng.uniform(max(least, 0.75), 1.0)) if least < 1 else 1.0
    if tilt == 0.0 and rng.random() < 0.2 and full_height * 0.5 > tray.height_px * 0.9:
        return *_cut_through_middle(pixels, full_height * 0.5, aspect, rng), 1.0
    crop_height = full_height * scale
    crop_width = crop_height * aspect
    slack = np.array([height - crop_height, width - crop_width]) if tilt == 0.0 else np.zeros(2)
    top, left = slack * rng.random(2) if tilt == 0.0 else ((height - crop_height) / 2, (width - crop_width) / 2)
    return _cropped(pixels, top, left, crop_height, crop_width), tilt, cut


def _cut_through_middle(
    pixels: Pixels, crop_height: float, aspect: float, rng: np.random.Generator
) -> tuple[Pixels, float]:
    height, width = pixels.shape[:2]
    crop_width = min(crop_height * aspect, width / 2)
    left = width / 2 if rng.random() < 0.5 else width / 2 - crop_width
    top = (height - crop_height) * rng.random()
    return _cropped(pixels, top, left, crop_height, crop_width), 0.0


def _cropped(pixels: Pixels, top: float, left: float, height: float, width: float) -> Pixels:
    y, x = max(0, round(top)), max(0, round(left))
    return pixels[y : y + max(8, round(height)), x : x + max(8, round(width))]


def truth_vector(truth: Truth) -> NDArray[np.float32]:
    """The ten labels in their order of declaration."""
    return np.array([getattr(truth, name) for name in TRUTH_NAMES], np.float32)


TRUTH_NAMES = tuple(Truth.__dataclass_fields__)
