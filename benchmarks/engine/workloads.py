"""Workloads: what the engines are asked. The same pictures, questions and forms for each of them.

Pictures are crops of demo/photo.jpg in the size that the checkpoint takes, each at another place, so that no two are
the same and no cache can answer for another request.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assay.checkpoint import FormName, ModelSpec
from assay.form import Choice, Form
from assay.frame import Clip, Frame
from assay.generator import Conversation
from assay.prompt import answer_form, question

PHOTO = Path(__file__).parents[2] / "demo" / "photo.jpg"
NAMES = ("image CoT", "image direct", "clip CoT", "live direct")
CLIP_FRAMES = 8
LIVE_STEP_FRAMES = 2
"""A live window goes on by these of its 8 frames: an overlap of 75 %."""


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """One request."""

    clip: Clip
    conversation: Conversation
    form: Form


def asks(name: str, checkpoint: ModelSpec, count: int, seed: int, side_px: int | None = None) -> list[Ask]:
    """So many requests of a workload, with pictures of this size or of the checkpoint's. KeyError if there is no such
    workload."""
    form_name = _FORMS[name]
    form, pixels = _greedy(answer_form(checkpoint, form_name)), checkpoint.pixels
    if name.startswith("image"):
        side = side_px or _side(pixels.max_pixels, pixels.factor_px)
        clips = [Clip((Frame(picture, 0.0),), is_video=False) for picture in crops(count, side, seed)]
    else:
        side = side_px or _side(pixels.video_max_pixels, pixels.factor_px)
        step = LIVE_STEP_FRAMES if name.startswith("live") else CLIP_FRAMES
        frames = crops(CLIP_FRAMES + step * (count - 1), side, seed)
        clips = [_clip(frames[step * place : step * place + CLIP_FRAMES]) for place in range(count)]
    conversation = Conversation(question(checkpoint, form_name, is_video=clips[0].is_video))
    return [Ask(clip, conversation, form) for clip in clips]


_FORMS: dict[str, FormName] = {
    "image CoT": "regular",
    "image direct": "direct",
    "clip CoT": "regular",
    "live direct": "direct",
}


def _greedy(form: Form) -> Form:
    """The others know no other way to choose."""
    return Form(tuple(replace(each, reading="likeliest") if isinstance(each, Choice) else each for each in form))


def crops(count: int, side_px: int, seed: int) -> list[NDArray[np.uint8]]:
    """Squares of the photo, (side, side, 3) uint8, each from another place."""
    rng = np.random.default_rng(seed)
    with Image.open(PHOTO) as opened:
        photo = opened.convert("RGB")
    pictures = []
    for _ in range(count):
        size = rng.uniform(0.4, 1.0) * min(photo.size)
        left, top = rng.uniform(0, photo.width - size), rng.uniform(0, photo.height - size)
        box = (left, top, left + size, top + size)
        pictures.append(np.asarray(photo.resize((side_px, side_px), Image.Resampling.BICUBIC, box)))
    return pictures


def _clip(frames: Sequence[NDArray[np.uint8]]) -> Clip:
    return Clip(tuple(Frame(pixels, 0.5 * place) for place, pixels in enumerate(frames)), is_video=True)


def _side(max_pixels: int, factor_px: int) -> int:
    """The largest square whose sides are multiples of factor_px."""
    return max(int(max_pixels**0.5) // factor_px, 1) * factor_px
