"""Clip ladder: a clip and five versions of it that get worse step by step; and a clip with one bad second."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter1d

from evaluation.clips import FRAMES_PER_SECOND, Picture, write_clip
from evaluation.ladder import damaged

CLIP_LADDERS: Mapping[str, tuple[float, ...]] = {
    "crf": (26, 32, 38, 44, 51),
    "downscaling": (2.0, 3.0, 4.0, 6.0, 10.0),
    "freezing": (0.7, 1.0, 1.4, 2.0, 4.0),
    "shake": (0.5, 1.0, 2.0, 4.0, 8.0),
}
"""Strengths of the steps after the clip as it was. crf: x264's, 18 as it was. downscaling: factor by which both sides
shrink before they grow again. freezing: seconds for which each shown picture stands still while time goes on; drops
shorter than half a second are not shown to a model that samples twice a second, and are not asked. shake: root mean
square of the camera's shift, in percent of the height, about two swings a second, blurred as in 1/50 s of exposure."""

MARGIN = 0.08
"""Part of each side that every step cuts off, so that a shaken picture has something to move into."""
BAD_BLUR_SIGMA = 8.0
"""Of the bad second, in pixels of a picture whose shorter side is 512."""
BAD_EV = -2.5
"""Exposure of the bad second."""


def step(clip: Sequence[Picture], name: str, strength: float) -> bytes:
    """The clip with that much damage, as a file; `name` "" for the clip as it was."""
    match name:
        case "":
            return write_clip(_still(clip))
        case "crf":
            return write_clip(_still(clip), crf=int(strength))
        case "downscaling":
            return write_clip([_downscaled(picture, strength) for picture in _still(clip)])
        case "freezing":
            held = max(1, round(strength * FRAMES_PER_SECOND))
            still = _still(clip)
            return write_clip([still[place - place % held] for place in range(len(still))])
        case "shake":
            return write_clip(_shaken(clip, strength / 100))
    raise KeyError(name)


def with_bad_second(clip: Sequence[Picture], from_seconds: float, seconds: float = 1.0) -> bytes:
    """The clip out of focus and underexposed for a while, as a file."""
    begin, end = (round(at * FRAMES_PER_SECOND) for at in (from_seconds, from_seconds + seconds))
    return write_clip([_bad(p) if begin <= place < end else p for place, p in enumerate(_still(clip))])


def _bad(picture: Picture) -> Picture:
    blurred = damaged(Image.fromarray(picture), "blur", BAD_BLUR_SIGMA)
    return np.asarray(damaged(blurred, "underexposure", BAD_EV))


def _still(clip: Sequence[Picture]) -> list[Picture]:
    return [_moved(picture, 0, 0) for picture in clip]


def _moved(picture: Picture, down: int, right: int) -> Picture:
    """The picture without its margin, shifted by so many pixels."""
    height, width = picture.shape[:2]
    room_y, room_x = _room(picture)
    top, left = room_y + down, room_x + right
    return picture[top : top + (height - 2 * room_y) // 2 * 2, left : left + (width - 2 * room_x) // 2 * 2]


def _room(picture: Picture) -> tuple[int, int]:
    return int(picture.shape[0] * MARGIN), int(picture.shape[1] * MARGIN)


def _downscaled(picture: Picture, factor: float) -> Picture:
    whole = Image.fromarray(picture)
    small = whole.resize(
        (max(1, round(whole.width / factor)), max(1, round(whole.height / factor))), Image.Resampling.BOX
    )
    return np.asarray(small.resize(whole.size, Image.Resampling.BICUBIC))


def _shaken(clip: Sequence[Picture], share: float, seed: int = 0) -> list[Picture]:
    """Every frame is the mean of four moments in its first half, as a shutter of 1/50 s sees them."""
    moments = 8
    rng = np.random.default_rng(seed)
    # Smooth noise: a sigma of 0.08 s lets about two swings a second through.
    path = gaussian_filter1d(rng.normal(size=(len(clip) * moments, 2)), 0.08 * FRAMES_PER_SECOND * moments, axis=0)
    path *= share * clip[0].shape[0] / np.sqrt((path**2).mean())
    limits = np.array(_room(clip[0]))
    shifts = np.clip(np.round(path), -limits, limits).astype(int)
    return [
        np.mean([_moved(picture, *shifts[place * moments + moment]) for moment in range(4)], axis=0).astype(np.uint8)
        for place, picture in enumerate(clip)
    ]
