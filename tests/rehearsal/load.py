"""Load: pictures and clips through the whole stack, so many in flight at once, each with pixels of its own."""

import asyncio
import io
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import av
from PIL import Image

from assay.client import AsyncClient
from assay.errors import AssayError
from benchmarks.engine.workloads import crops
from triton_server.gpus import visible_gpus

HEADS = (
    f"{'asked':<10}{'in flight':>10}{'a second':>10}{'first text, s':>15}{'answer, s':>11}{'failed':>8}{'GPU, GB':>9}"
)
_SIDE_PX = 448
_CLIP_FRAMES, _CLIP_RATE = 8, 2
_ROUNDS = 2
"""Files of a level, in multiples of what is in flight; the first is not counted."""


@dataclass(frozen=True, slots=True)
class _Answer:
    first_seconds: float | None
    """Until its first text; None if there was none."""
    seconds: float
    is_complete: bool


async def load_table(address: str, levels: Sequence[int]) -> list[str]:
    """A line for pictures and one for clips of each level, in the regular form."""
    lines = [HEADS]
    async with AsyncClient(address) as client:
        for kind in ("pictures", "clips"):
            for level in levels:
                await _measured(client, _files(kind, level, seed=2 * level), level)
                began = time.monotonic()
                answers = await _measured(client, _files(kind, _ROUNDS * level, seed=2 * level + 1), level)
                lines.append(_line(kind, level, answers, time.monotonic() - began))
    return lines


def _line(kind: str, level: int, answers: Sequence[_Answer], seconds: float) -> str:
    firsts = [each.first_seconds for each in answers if each.first_seconds is not None]
    failed = sum(not each.is_complete for each in answers)
    first, whole = (median(found) if found else float("nan") for found in (firsts, [each.seconds for each in answers]))
    held = sum(gpu.total_bytes - gpu.free_bytes for gpu in visible_gpus(os.environ)) / 1e9
    rate = (len(answers) - failed) / seconds
    return f"{kind:<10}{level:>10}{rate:>10.2f}{first:>15.2f}{whole:>11.2f}{failed:>8}{held:>9.1f}"


async def _measured(client: AsyncClient, files: Sequence[bytes], level: int) -> list[_Answer]:
    gate = asyncio.Semaphore(level)

    async def one(file: bytes) -> _Answer:
        async with gate:
            return await _asked(client, file)

    return await asyncio.gather(*map(one, files))


async def _asked(client: AsyncClient, file: bytes) -> _Answer:
    began, first = time.monotonic(), None
    try:
        async for event in client.events(file, form="regular"):
            if first is None and event.HasField("reasoning"):
                first = time.monotonic() - began
    except AssayError:
        return _Answer(first, time.monotonic() - began, is_complete=False)
    return _Answer(first, time.monotonic() - began, is_complete=True)


def _files(kind: str, count: int, seed: int) -> list[bytes]:
    if kind == "pictures":
        return [_png(pixels) for pixels in crops(count, _SIDE_PX, seed)]
    frames = crops(count * _CLIP_FRAMES, _SIDE_PX, seed)
    return [_mp4(frames[start : start + _CLIP_FRAMES]) for start in range(0, len(frames), _CLIP_FRAMES)]


def _png(pixels: object) -> bytes:
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, "PNG", compress_level=1)
    return held.getvalue()


def _mp4(frames: Sequence[object]) -> bytes:
    held = io.BytesIO()
    with av.open(held, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=_CLIP_RATE)
        stream.width = stream.height = _SIDE_PX
        stream.pix_fmt = "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return held.getvalue()
