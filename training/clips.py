"""Clips: a camera pans over a photo; it may shake, and the picture may freeze. Made at the moments that are sampled."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.degrade import Pixels

MOTIONS = ("freeze", "shake")
FRAMES_PER_SECOND = 2.0
"""As assay.toml samples videos."""
_FREEZE_SECONDS, _FREEZE_DAMAGES = (0.5, 0.7, 1.0, 1.4, 2.0, 4.0), (0.0, 0.12, 0.24, 0.36, 0.52, 0.75)
_SHAKE_PERCENT, _SHAKE_DAMAGES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0), (0.0, 0.08, 0.18, 0.34, 0.55, 0.8)
# Two swings a second of one unit root mean square move by 12.6 units a second; a shutter of 1/50 s sees a quarter.
_SMEAR = 0.25


@dataclass(frozen=True, slots=True)
class Motion:
    """What is wrong with how a clip moves; nothing by default."""

    freeze_seconds: float = 0.0
    """Each picture stands still for so long while time goes on."""
    shake_percent: float = 0.0
    """Root mean square of the camera's shift, in percent of the height."""

    def damage(self) -> float:
        """0 to 1, as in degrade.Degradation."""
        frozen = float(np.interp(self.freeze_seconds, _FREEZE_SECONDS, _FREEZE_DAMAGES))
        shaken = float(np.interp(self.shake_percent, _SHAKE_PERCENT, _SHAKE_DAMAGES))
        return 1 - (1 - frozen) * (1 - shaken)


def draw(kind: str, rng: np.random.Generator) -> float:
    """A strength: seconds (freeze) or percent (shake)."""
    return float(0.55 * 8 ** rng.random()) if kind == "freeze" else float(0.25 * 36 ** rng.random())


def motion(kind: str, amount: float) -> Motion:
    """KeyError for a kind that is none of MOTIONS."""
    return {"freeze": Motion(freeze_seconds=amount), "shake": Motion(shake_percent=amount)}[kind]


@dataclass(frozen=True, slots=True)
class Pan:
    """A way of the camera over a photo."""

    pixels: Pixels
    crop: tuple[float, float]
    """(height, width) of the view, in pixels of the photo."""
    begin: NDArray[np.float64]
    end: NDArray[np.float64]
    """(2,) top and left of the view at the first and after the last moment."""
    moments: Sequence[float]
    """Seconds."""

    @classmethod
    def drawn(cls, pixels: Pixels, frames: int, height_by_width: float, rng: np.random.Generator) -> "Pan":
        """A view of 60 to 90 % of the photo that moves at any speed, standing almost still included."""
        height, width = pixels.shape[:2]
        view_width = min(width, height / height_by_width) * rng.uniform(0.6, 0.9)
        crop = (view_width * height_by_width, view_width)
        slack = np.array([height - crop[0], width - crop[1]])
        begin, end = rng.random((2, 2)) * slack
        end = begin + (end - begin) * rng.uniform(0.15, 1.0)
        return cls(pixels, crop, begin, end, [place / FRAMES_PER_SECOND for place in range(frames)])

    def frames(self, wrong: Motion, height_px: int, width_px: int, rng: np.random.Generator) -> list[Pixels]:
        """(height_px, width_px, 3) each."""
        picture = Image.fromarray(self.pixels)
        shifts = rng.normal(size=(len(self.moments), 2)) * wrong.shake_percent / 100 * self.crop[0]
        speeds = rng.normal(size=(len(self.moments), 2)) * wrong.shake_percent / 100 * self.crop[0]
        phase = rng.uniform(0, max(wrong.freeze_seconds, 1e-9))
        shown: list[Pixels] = []
        held = -1.0
        for moment, shift, speed in zip(self.moments, shifts, speeds, strict=True):
            if wrong.freeze_seconds > 0:
                number = np.floor((moment + phase) / wrong.freeze_seconds)
                if number == held:
                    shown.append(shown[-1])
                    continue
                held = number
            smears = [speed * _SMEAR * along for along in ((-0.5, 0.0, 0.5) if wrong.shake_percent > 0.5 else (0.0,))]
            views = [self._view(picture, moment, shift + smear, height_px, width_px) for smear in smears]
            shown.append(views[0] if len(views) == 1 else np.mean(views, axis=0).astype(np.uint8))
        return shown

    def _view(
        self, picture: Image.Image, moment: float, shift: NDArray[np.float64], height_px: int, width_px: int
    ) -> Pixels:
        along = moment / max(self.moments[-1], 1e-9)
        room = np.array([picture.height - self.crop[0], picture.width - self.crop[1]])
        top, left = np.clip(self.begin + (self.end - self.begin) * along + shift, 0, room)
        box = (left, top, left + self.crop[1], top + self.crop[0])
        return np.asarray(picture.resize((width_px, height_px), Image.Resampling.BICUBIC, box=box))
