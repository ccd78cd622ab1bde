"""Batch: requests of one workload as a JSON file, so that engines in other environments can read them.

Pictures are PNG in base64 (decoded before the clock starts for no engine, and after it for all). The form is there
twice: as ours, and as a regular expression for engines that take one.
"""

import base64
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from assay.form import Choice, Digits, Form, Free, Literal, Segment, form_from_json, form_to_json
from assay.frame import Clip, Frame
from assay.generator import Conversation
from benchmarks.engine.workloads import Ask

MOST_TOKENS = 320


@dataclass(frozen=True, slots=True)
class Batch:
    """Where it lies, and how many requests it has."""

    path: Path
    count: int


def write_batch(path: Path, asks: Sequence[Ask]) -> Batch:
    """All requests of a batch have one question, one form and one size of clip."""
    first = asks[0]
    path.write_text(
        json.dumps(
            {
                "question": first.conversation.question,
                "is_video": first.clip.is_video,
                "form": form_to_json(first.form),
                "regex": regex(first.form),
                "prompt": prompt(first.conversation, is_video=first.clip.is_video),
                "most_tokens": MOST_TOKENS,
                "frames_each": len(first.clip.frames),
                "clips": [[_png(frame) for frame in ask.clip.frames] for ask in asks],
            }
        )
    )
    return Batch(path, len(asks))


def read_batch(batch: dict[str, Any]) -> list[Ask]:
    """The inverse of write_batch."""
    conversation, form = Conversation(batch["question"]), form_from_json(batch["form"])
    return [Ask(_clip(pngs, batch["is_video"]), conversation, form) for pngs in batch["clips"]]


def prompt(conversation: Conversation, *, is_video: bool) -> str:
    """Qwen2-VL's chat template around one picture or video."""
    pad = "<|video_pad|>" if is_video else "<|image_pad|>"
    return (
        f"<|im_start|>system\n{conversation.system}<|im_end|>\n<|im_start|>user\n<|vision_start|>{pad}"
        f"<|vision_end|>{conversation.question}<|im_end|>\n<|im_start|>assistant\n"
    )


def regex(form: Form) -> str:
    """What the form allows, as a regular expression; a free text is anything without a line break."""
    return "".join(_regex(segment) for segment in form)


def _regex(segment: Segment) -> str:
    match segment:
        case Literal(text):
            return _escaped(text)
        case Choice(_, options):
            return f"({'|'.join(map(_escaped, options))})"
        case Digits():
            point = rf"\.[0-9]{{{segment.decimals}}}" if segment.decimals else ""
            return f"{_escaped(segment.lead)}[0-9]{{{segment.integer_digits}}}{point}"
        case Free():
            return r"[^\n]*"


def _escaped(text: str) -> str:
    # re.escape also escapes spaces and line breaks, which not every engine's dialect knows.
    return re.sub(r"([\\.^$*+?{}\[\]|()])", r"\\\1", text)


def _png(frame: Frame) -> str:
    held = io.BytesIO()
    Image.fromarray(frame.pixels).save(held, "PNG", compress_level=1)
    return base64.b64encode(held.getvalue()).decode()


def _clip(pngs: Sequence[str], is_video: bool) -> Clip:
    pictures = [np.asarray(Image.open(io.BytesIO(base64.b64decode(png)))) for png in pngs]
    return Clip(tuple(Frame(pixels, 0.5 * place) for place, pixels in enumerate(pictures)), is_video)
