"""The clips that are decoded: two seconds of a moving texture with grain, made by the encoders inside PyAV."""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

FRAMES_PER_SECOND = 24
FRAMES = 2 * FRAMES_PER_SECOND + 1
"""The last one is wanted at every rate, so that no decoder may stop before the end."""
SIZES = {"1080p": (1920, 1080), "4K": (3840, 2160)}
_QUICK = {"x264": {"preset": "veryfast"}, "x265": {"preset": "ultrafast", "x265-params": "log-level=none"}}
ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    "H.264": ("libx264", _QUICK["x264"]),
    "HEVC": ("libx265", _QUICK["x265"]),
    "VP9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    "AV1": ("libsvtav1", {"preset": "12"}),
}
_MEGABITS = {"H.264": (8, 38), "HEVC": (5, 22), "VP9": (5, 22), "AV1": (3, 16)}
"""Per second, at 1080p and at 4K."""


@dataclass(frozen=True, slots=True)
class EncodedClip:
    """A file, and what is in it."""

    codec: str
    size: str
    path: Path
    frames: int


def clip(folder: Path, codec: str, size: str, frames: int = FRAMES) -> EncodedClip:
    """From the folder, or made and put there. `size` is one of SIZES or WIDTHxHEIGHT."""
    path = folder / f"{codec.lower().replace('.', '')}-{size.lower()}-{frames}.mp4"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        width, height = SIZES[size] if size in SIZES else tuple(map(int, size.split("x")))
        fresh = path.with_suffix(".part")
        _write(fresh, codec, width, height, frames)
        fresh.replace(path)
    return EncodedClip(codec, size, path, frames)


def _write(path: Path, codec: str, width: int, height: int, frames: int) -> None:
    encoder, options = ENCODERS[codec]
    texture, grain = _texture(width, height), _noise(np.random.default_rng(1), height, width, 12)
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as out:
        stream = out.add_stream(encoder, rate=FRAMES_PER_SECOND, options={**options, "g": str(FRAMES_PER_SECOND)})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.bit_rate = 1_000_000 * _MEGABITS[codec][width > 2000]
        stream.codec_context.thread_count = 2
        for index in range(frames):
            moved = np.roll(texture, 5 * index, axis=1)[:, :width] + np.roll(grain, 211 * index, axis=1)[..., None]
            rgb = np.clip(moved, 0, 255).astype(np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        out.mux(stream.encode(None))


def _texture(width: int, height: int) -> NDArray[np.int16]:
    """Coarse and fine colours on top of one another, half as wide again as the picture."""
    random, wide = np.random.default_rng(0), width * 3 // 2
    layers = [random.integers(0, 128, (height // step + 1, wide // step + 1, 3), np.uint8) for step in (120, 24)]
    fine, coarse = (np.asarray(Image.fromarray(layer).resize((wide, height)), np.int16) for layer in layers)
    return fine + coarse


def _noise(random: np.random.Generator, height: int, width: int, most: int) -> NDArray[np.int16]:
    return random.integers(-most, most + 1, (height, width), np.int16)
