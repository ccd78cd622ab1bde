"""Warm-up: the largest picture and the longest clip of a checkpoint, answered once before anybody else asks.

Memory is claimed, kernels are chosen and graphs are captured for these sizes now, and not in somebody's request.
"""

import logging
import math
import time
from collections.abc import Iterator

import numpy as np

from assay.checkpoint import ModelSpec, read_checkpoint
from assay.frame import Clip, Frame
from assay.generator import Conversation
from assay.prompt import answer_form, question
from triton_server.settings import TritonServerSettings
from triton_server.tls import client

_log = logging.getLogger("triton_server")


async def warm_up(address: str, settings: TritonServerSettings) -> None:
    """Asks for a direct score of each clip. AssayError if one is not answered; nothing without an assay.toml."""
    if not (settings.checkpoint / "assay.toml").is_file():
        return
    checkpoint = read_checkpoint(settings.checkpoint)
    form = answer_form(checkpoint, "direct")
    generator = client(address, settings, settings.start_timeout_seconds)
    try:
        for clip in largest_clips(checkpoint):
            began = time.monotonic()
            asked = Conversation(question(checkpoint, "direct", is_video=clip.is_video))
            async for _ in generator.generate(clip, asked, form):
                pass
            kind = f"a clip of {len(clip.frames)} frames" if clip.is_video else "a picture"
            _log.info("warmed up with %s in %.1f s", kind, time.monotonic() - began)
    finally:
        await generator.close()


def largest_clips(checkpoint: ModelSpec) -> Iterator[Clip]:
    """A picture and a video clip of as many pixels and frames as the checkpoint allows, grey."""
    pixels, budget = checkpoint.pixels, checkpoint.clip
    unit_px = pixels.patch_px * pixels.merge
    yield Clip((_frame(pixels.max_pixels, unit_px),), is_video=False)
    count = min(budget.max_frames, max(1, math.ceil(budget.seconds * budget.frames_per_second)))
    still = _frame(pixels.video_max_pixels, unit_px).pixels
    times = [number / budget.frames_per_second for number in range(count)]
    yield Clip(tuple(Frame(still, pts_seconds) for pts_seconds in times), is_video=True)


def _frame(area: int, unit_px: int) -> Frame:
    side_px = max(1, math.isqrt(area) // unit_px) * unit_px
    return Frame(np.full((side_px, side_px, 3), 127, np.uint8))
