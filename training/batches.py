"""Batches: a step number becomes pictures of one size with their labels. The same step always gives the same batch.

More than half of each batch are pairs: one photo twice with the same damage at two strengths, so that the loss can ask
for the difference (a ladder) and not only for the level. A clip is a pan over a photo (training/clips.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from training import clips, degrade, labels
from training.clips import Motion
from training.degrade import Degradation, Pixels
from training.framing import Framing, enlarged, framed, resized, turn
from training.labels import Made, Truth
from training.photos import Photo


@dataclass(frozen=True, slots=True)
class BatchShape:
    """One shape of batch."""

    source: str
    height_px: int
    width_px: int
    size: int
    share: float
    frames: int = 1
    """More than one: a video."""
    is_plain: bool = False
    """Whole photos as they are, of which the teacher's tables say what it sees: a third of the cost of any other."""


# All of about the one area that assay.toml sets: a photo and the same photo enlarged are then the same picture.
BATCH_SHAPES = (
    BatchShape("rated", 336, 336, 24, 0.25, is_plain=True),
    BatchShape("rated", 336, 336, 12, 0.22),
    BatchShape("rated", 280, 392, 12, 0.03),
    BatchShape("native", 280, 364, 12, 0.11),
    BatchShape("native", 364, 280, 12, 0.03),
    BatchShape("open", 280, 364, 12, 0.06),
    BatchShape("open", 252, 392, 12, 0.09),
    BatchShape("open", 392, 252, 12, 0.05),
    BatchShape("open", 336, 336, 12, 0.04),
    BatchShape("open", 252, 448, 12, 0.02),
)
VIDEO_SHAPES = (
    BatchShape("open", 168, 280, 4, 0.05, frames=8),
    BatchShape("native", 196, 252, 4, 0.05, frames=8),
    BatchShape("open", 252, 168, 4, 0.02, frames=8),
)
_VIDEO_KINDS = {
    "freeze": 0.42, "shake": 0.16, "webp": 0.12, "jpeg": 0.06, "downscale": 0.08, "blur": 0.05, "underexpose": 0.05,
    "overexpose": 0.03, "desaturate": 0.03,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Picture:
    """One training picture."""

    frames: Pixels
    """(frames, height, width, 3) at the served size; one frame for an image."""
    truth: Truth
    row: int
    """Place of its photo in the teacher's tables (rated rows first, then open rows)."""
    kind: str
    """What parts the pair it belongs to; "" for a single."""
    made: Made
    statistics: labels.PixelStatistics
    native: Pixels | None = None
    """The picture before it was brought to the served size, where the teacher is to see it."""
    is_plain: bool = False
    """A whole photo as it is: what the teacher sees of it stands in its tables."""


@dataclass(frozen=True, slots=True)
class Rated:
    """A photo with what is known of it."""

    photo: Photo
    row: int
    mos: float
    quality: float
    content: Mapping[str, float] = field(default_factory=dict)
    """Places of attributes that somebody graded, or the stage-1 model: labels.Made.content."""
    graded: Mapping[str, float] = field(default_factory=dict)
    """Places of all other attributes that somebody graded: of the photo as it was."""


class Batches(Dataset[list[Picture]]):
    """Indexed by step. In a pair the weaker damage comes first; pairs stand at the front of a batch."""

    def __init__(
        self,
        rated: Sequence[Rated],
        steps: int,
        seed: int = 0,
        shapes: Sequence[BatchShape] = BATCH_SHAPES,
        enlarge_first_pixels: int = 0,
        with_native: bool = False,
    ) -> None:
        """Shapes whose source has no photos are left out. An image below that area is enlarged to it before it is
        brought to the size of its shape, as when it is served."""
        self._rated = {source: [r for r in rated if r.photo.source == source] for source in ("rated", "native", "open")}
        self._shapes = [shape for shape in shapes if self._rated[shape.source]]
        self._steps, self._seed, self._enlarge_first_pixels = steps, seed, enlarge_first_pixels
        self._with_native = with_native
        self._decoded: dict[int, Pixels] = {}

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, step: int) -> list[Picture]:
        rng = np.random.default_rng((self._seed, step))
        shares = np.array([shape.share for shape in self._shapes])
        shape = self._shapes[rng.choice(len(self._shapes), p=shares / shares.sum())]
        if shape.is_plain:
            return [self._plain(shape, rng) for _ in range(shape.size)]
        # What people said of a photo is learnt from the photo as it is; those of PARA are many, and squashed and small.
        share = (0.67 if shape.source == "rated" else 0.84) if shape.frames == 1 else 1.0
        pairs = round(shape.size * share / 2)
        pictures: list[Picture] = []
        for _ in range(pairs):
            pictures += self._pair(shape, rng)
        while len(pictures) < shape.size:
            pictures.append(self._single(shape, rng))
        return pictures

    def _pick(self, shape: BatchShape, rng: np.random.Generator) -> tuple[Rated, Pixels]:
        photos = self._rated[shape.source]
        rated = photos[rng.integers(len(photos))]
        pixels = self._pixels(rated)
        return rated, pixels[:, ::-1] if rng.random() < 0.5 else pixels

    def _pixels(self, rated: Rated) -> Pixels:
        if rated.photo.source != "open":
            return rated.photo.decode()
        if rated.row not in self._decoded:
            self._decoded[rated.row] = rated.photo.decode()
        return self._decoded[rated.row]

    def _pair(self, shape: BatchShape, rng: np.random.Generator) -> list[Picture]:
        rated, pixels = self._pick(shape, rng)
        if shape.frames > 1:
            return self._clip_pair(shape, rated, pixels, rng)
        draw = rng.random()
        if draw < 0.2:
            tilt = float(rng.choice((-1, 1))) * (rng.uniform(2.5, 8) if rng.random() < 0.8 else rng.uniform(8, 14))
            views = [turn(pixels, degrees, abs(tilt), shape.height_px, shape.width_px) for degrees in (0.0, tilt)]
            return [self._picture(shape, rated, view, (), "tilt", rng) for view in views]
        framing = framed(pixels, shape.height_px, shape.width_px, rng)
        if draw < 0.38:
            # The same photo in another wrapping must keep its score.
            other = replace(framing, pixels=_wrapped(framing.pixels, rng))
            return [self._picture(shape, rated, view, (), "same", rng, framing.pixels) for view in (framing, other)]
        kinds, shares = list(degrade.LADDERS), list(degrade.LADDERS.values())
        kind = str(rng.choice(kinds, p=shares) if rng.random() < 0.75 else rng.choice(degrade.KINDS))
        weaker, stronger = _two(kind, rng)
        return [self._picture(shape, rated, framing, done, kind, rng) for done in (weaker, stronger)]

    def _plain(self, shape: BatchShape, rng: np.random.Generator) -> Picture:
        rated, pixels = self._pick(shape, rng)
        return replace(self._picture(shape, rated, Framing(pixels), (), "", rng), native=None, is_plain=True)

    def _single(self, shape: BatchShape, rng: np.random.Generator) -> Picture:
        rated, pixels = self._pick(shape, rng)
        several = rng.choice(4, p=[0.75, 0.14, 0.08, 0.03]) if shape.source == "rated" else rng.choice(3)
        done = tuple(degrade.draw(str(kind), rng) for kind in rng.choice(degrade.KINDS, several, replace=False))
        return self._picture(shape, rated, framed(pixels, shape.height_px, shape.width_px, rng), done, "", rng)

    def _picture(
        self,
        shape: BatchShape,
        rated: Rated,
        framing: Framing,
        done: tuple[Degradation, ...],
        kind: str,
        rng: np.random.Generator,
        before: Pixels | None = None,
    ) -> Picture:
        made = Made(
            rated.mos,
            rated.quality,
            framing.tilt_degrees,
            framing.cut,
            done,
            content=rated.content,
            graded=rated.graded,
        )
        statistics = labels.pixel_statistics(framing.pixels if before is None else before)
        pixels = framing.pixels
        for degradation in done:
            pixels = degrade.degraded(pixels, degradation, rng)
        frames = resized(enlarged(pixels, self._enlarge_first_pixels), shape.height_px, shape.width_px)[None]
        native = pixels if self._with_native else None
        return Picture(frames, labels.truth(made, statistics), rated.row, kind, made, statistics, native)

    def _clip_pair(self, shape: BatchShape, rated: Rated, pixels: Pixels, rng: np.random.Generator) -> list[Picture]:
        pan = clips.Pan.drawn(pixels, shape.frames, shape.height_px / shape.width_px, rng)
        kind = str(rng.choice(list(_VIDEO_KINDS), p=list(_VIDEO_KINDS.values())))
        if kind in clips.MOTIONS:
            amounts = sorted(clips.draw(kind, rng) for _ in range(2))
            first = Motion() if rng.random() < 0.35 else clips.motion(kind, amounts[0])
            versions: list[tuple[Motion, tuple[Degradation, ...]]] = [(first, ()), (clips.motion(kind, amounts[1]), ())]
        else:
            versions = [(Motion(), done) for done in _two(kind, rng)]
        seed = int(rng.integers(2**31))
        return [self._clip(shape, rated, pan, motion, done, kind, seed) for motion, done in versions]

    def _clip(
        self,
        shape: BatchShape,
        rated: Rated,
        pan: clips.Pan,
        motion: Motion,
        done: tuple[Degradation, ...],
        kind: str,
        seed: int,
    ) -> Picture:
        rng = np.random.default_rng(seed)
        # Damaged at about the size of a small video, then brought to the size that the model takes.
        frames = pan.frames(motion, shape.height_px * 3 // 2, shape.width_px * 3 // 2, rng)
        statistics = labels.pixel_statistics(frames[0])
        for degradation in done:
            frames = [degrade.degraded(frame, degradation, rng) for frame in frames]
        made = Made(
            rated.mos,
            rated.quality,
            degradations=done,
            motion_damage=motion.damage(),
            content=rated.content,
            graded=rated.graded,
        )
        shown = np.stack([resized(frame, shape.height_px, shape.width_px) for frame in frames])
        return Picture(shown, labels.truth(made, statistics), rated.row, kind, made, statistics)


def _two(kind: str, rng: np.random.Generator) -> tuple[tuple[Degradation, ...], tuple[Degradation, ...]]:
    """A weaker one (often none at all) and a stronger one of the same kind."""
    weaker, stronger = sorted((degrade.draw(kind, rng) for _ in range(2)), key=Degradation.damage)
    return (() if rng.random() < 0.35 else (weaker,)), (stronger,)


def _wrapped(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """What must not move a score: twice the size, a good WebP or JPEG, mirrored, or cropped by 2 percent."""
    height, width = pixels.shape[:2]
    draw = rng.random()
    if draw < 0.22:
        return resized(pixels, height * 2, width * 2)
    if draw < 0.38:
        return degrade.degraded(pixels, Degradation(str(rng.choice(("webp", "jpeg"))), 95), rng)
    if draw < 0.7:
        return pixels[:, ::-1]
    y, x = rng.integers(0, 1 + np.array([height, width]) // 50, (2, 2)).T
    return np.ascontiguousarray(pixels[y[0] : height - y[1], x[0] : width - x[1]])


def truth_vector(truth: Truth) -> NDArray[np.float32]:
    """The ten labels in their order of declaration."""
    return np.array([getattr(truth, name) for name in TRUTH_NAMES], np.float32)


TRUTH_NAMES = tuple(Truth.__dataclass_fields__)
