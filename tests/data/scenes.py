"""Scenes: small made-up pictures and clips whose quality is known because it was taken away on purpose.

A scene is coloured patches with edges, observed at `quality` 0 (blurred, dark, pale) to 1 (untouched). The same number
makes the same pixels on every machine; the bytes of a file depend on the encoder that Pillow carries.
"""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

WIDTH_PX, HEIGHT_PX = 112, 84
_WORST_BLUR_PX, _DARKEST, _PALEST = 4.0, 0.45, 0.35
CLIP_FRAMES, CLIP_FRAMES_PER_SECOND = 8, 4
_PAN_PX = 2


def picture(number: int, quality: float) -> Image.Image:
    """Scene `number`, 112 x 84."""
    return spoiled(scene(number, WIDTH_PX, HEIGHT_PX), quality)


def scene(number: int, width_px: int, height_px: int) -> Image.Image:
    """Untouched: a coloured background with a dozen coloured shapes and fine lines."""
    rng = np.random.default_rng(number)
    corners = rng.integers(40, 220, (2, 3, 3), np.uint8)
    drawn = Image.fromarray(corners).resize((width_px, height_px), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(drawn)
    for _ in range(12):
        x, y = int(rng.integers(0, width_px)), int(rng.integers(0, height_px))
        w, h = (int(side) for side in rng.integers(8, max(9, height_px // 2), 2))
        colour = (int(rng.integers(0, 256)), int(rng.integers(0, 256)), int(rng.integers(0, 256)))
        shape = pen.ellipse if rng.random() < 0.5 else pen.rectangle
        shape((x - w // 2, y - h // 2, x + w // 2, y + h // 2), fill=colour)
        pen.line((x - w // 2, y, x + w // 2, y + h // 4), fill=(255 - colour[0], 255 - colour[1], 255 - colour[2]))
    return drawn


def spoiled(drawn: Image.Image, quality: float) -> Image.Image:
    """Worse the lower the quality: three faults grow together, so that any of them tells the order."""
    fault = 1.0 - quality
    observed = drawn.filter(ImageFilter.GaussianBlur(_WORST_BLUR_PX * fault))
    observed = ImageEnhance.Brightness(observed).enhance(1 - (1 - _DARKEST) * fault)
    return ImageEnhance.Color(observed).enhance(1 - (1 - _PALEST) * fault)


def jpeg(observed: Image.Image) -> bytes:
    return _encoded(observed, "JPEG", quality=92)


def bmp(observed: Image.Image) -> bytes:
    return _encoded(observed, "BMP")


def mp4(number: int, quality: float) -> bytes:
    """Two seconds of AV1, 8 frames, panning over a scene; a few KB."""
    wide = spoiled(scene(number, WIDTH_PX + _PAN_PX * CLIP_FRAMES, HEIGHT_PX), quality)
    views = [wide.crop((x, 0, x + WIDTH_PX, HEIGHT_PX)) for x in range(0, _PAN_PX * CLIP_FRAMES, _PAN_PX)]
    return _relabelled(_avif(views))


def _avif(views: Sequence[Image.Image]) -> bytes:
    into = io.BytesIO()
    views[0].save(
        into,
        format="AVIF",
        save_all=True,
        append_images=list(views[1:]),
        duration=1000 // CLIP_FRAMES_PER_SECOND,
        quality=70,
        speed=8,
        subsampling="4:2:0",
        max_threads=1,  # several threads may write other bytes each time
    )
    return into.getvalue()


def _relabelled(avif: bytes) -> bytes:
    """An animated AVIF is an ISO file with an AV1 track, as an MP4 is. Its brands and the track's handler are changed
    to those of a video, and the description of the still picture next to the track is marked as free space; the
    frames are untouched. That spares a video encoder: PyAV belongs to the gateway alone."""
    boxes, start = bytearray(avif), 0
    while start < len(boxes):
        size, kind = int.from_bytes(boxes[start : start + 4], "big"), bytes(boxes[start + 4 : start + 8])
        if kind == b"ftyp":
            brands = (size - 16) // 4
            boxes[start + 8 : start + size] = b"isom" + bytes(4) + b"isomav01" + b"isom" * (brands - 2)
        elif kind == b"meta":
            boxes[start + 4 : start + 8] = b"free"
        elif kind == b"moov":
            boxes[start : start + size] = _undated(boxes[start : start + size].replace(b"pict", b"vide"))
        start += size
    return bytes(boxes)


def _undated(moov: bytearray) -> bytearray:
    """Times of creation and change become 0, or the same clip would be other bytes a second later."""
    for kind in (b"mvhd", b"tkhd", b"mdhd"):
        version = moov.index(kind) + 4
        width = 16 if moov[version] else 8
        moov[version + 4 : version + 4 + width] = bytes(width)
    return moov


def _encoded(observed: Image.Image, file_format: str, **settings: int) -> bytes:
    into = io.BytesIO()
    observed.save(into, file_format, **settings)
    return into.getvalue()
