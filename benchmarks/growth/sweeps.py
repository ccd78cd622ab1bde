"""Sweeps: what of a request grows, and the requests of every size of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.checkpoint import FormName, ModelSpec
from assay.form import Form
from assay.frame import Clip, Frame
from assay.generator import Conversation
from assay.prompt import answer_form, question
from benchmarks.engine.workloads import Ask, asks, crops

_FRAME_SIDE_PX = 224
_PICTURE_SIDE_PX = 336


@dataclass(frozen=True, slots=True)
class GrowthSweep:
    """One quantity, and the requests that are asked for each of its sizes."""

    unit: str
    sizes: tuple[int, ...]
    asks: Callable[[ModelSpec, int, int], list[Ask]]
    """Of a size, with a seed: no two of them show the same."""
    is_per_request: bool = False
    """The cost is that of one request; else of all that a size has."""
    are_together: bool = False
    """All are in flight at once; else one follows the other."""
    amount: Callable[[int, float], float] = lambda size, _: float(size)
    """Of a size and the tokens that an answer had, in the unit."""
    degree: int = 1
    """Of what is fitted."""


def _pixels(served: ModelSpec, side_px: int, seed: int) -> list[Ask]:
    clips = [Clip((Frame(picture, 0.0),), is_video=False) for picture in crops(2, side_px, seed)]
    return [_ask(served, clip, answer_form(served, "direct")) for clip in clips]


def _frames(served: ModelSpec, frames: int, seed: int) -> list[Ask]:
    return [_ask(served, _clip(crops(frames, _FRAME_SIDE_PX, seed)), answer_form(served, "direct"))]


def _windows(served: ModelSpec, windows: int, seed: int) -> list[Ask]:
    return asks("live direct", served, windows, seed)


def _answer(served: ModelSpec, segments: int, seed: int) -> list[Ask]:
    """The regular answer, or its first so many segments."""
    whole = answer_form(served, "regular")
    form = Form(whole.segments[:segments]) if segments else whole
    clips = [Clip((Frame(picture, 0.0),), is_video=False) for picture in crops(2, _PICTURE_SIDE_PX, seed)]
    return [_ask(served, clip, form, "regular") for clip in clips]


def _in_flight(served: ModelSpec, requests: int, seed: int) -> list[Ask]:
    return asks("image CoT", served, requests, seed)


def stream(served: ModelSpec, windows: int, seed: int) -> list[Ask]:
    """Windows of a video of noise, one behind the other, whose frames are small so that hours take minutes."""
    rng, size = np.random.default_rng(seed), (served.clip.max_frames, 56, 56, 3)
    form = answer_form(served, "direct")
    return [_ask(served, _clip([*rng.integers(0, 256, size, np.uint8)]), form) for _ in range(windows)]


SWEEPS: Mapping[str, GrowthSweep] = {
    "pixels": GrowthSweep(
        "megapixels of a picture",
        (112, 224, 336, 448, 560),
        _pixels,
        is_per_request=True,
        amount=lambda side_px, _: side_px**2 / 1e6,
        degree=2,  # in the tower every patch attends to every other
    ),
    "frames": GrowthSweep("frames of a clip, 224 x 224", (2, 4, 8, 16, 32), _frames, is_per_request=True),
    "windows": GrowthSweep("live windows that overlap by 75 %", (1, 2, 4, 8, 16), _windows),
    "answer": GrowthSweep(
        "tokens of an answer", (2, 8, 14, 22, 0), _answer, is_per_request=True, amount=lambda _, tokens: tokens
    ),
    "in flight": GrowthSweep("reasoned requests at once", (1, 2, 4, 8, 16, 32), _in_flight, are_together=True),
}


def _ask(served: ModelSpec, clip: Clip, form: Form, name: FormName = "direct") -> Ask:
    return Ask(clip, Conversation(question(served, name, clip.is_video)), form)


def _clip(frames: Sequence[NDArray[np.uint8]]) -> Clip:
    return Clip(tuple(Frame(pixels, 0.5 * place) for place, pixels in enumerate(frames)), is_video=True)
