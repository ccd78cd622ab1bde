"""AVIF as other programs write it: grids of tiles, transparency next to the picture, cropped, turned, in HDR.

Around pictures that Pillow or FFmpeg encode (ISO/IEC 23008-12; AVIF 1.1)."""

import io
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import av
import numpy as np
from PIL import Image

from tests.media.build import picture
from tests.media.heic import box, full_box

os.environ.setdefault("SVT_LOG", "1")  # the encoder of HDR tells all its settings otherwise
TILE_PX = 64
_HIDDEN = 1
_ESSENTIAL = (b"av1C", b"clap", b"irot", b"imir")
"""A reader that does not know one of these may not show the picture."""


@dataclass(frozen=True)
class Coded:
    """One picture as AV1."""

    configuration: bytes
    """Its av1C box."""
    sample: bytes
    size: tuple[int, int]


def coded(pixels: np.ndarray, quality: int = 95) -> Coded:
    """(height, width[, 3]) uint8."""
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "avif", quality=quality, speed=10)
    data = target.getvalue()
    return Coded(_box_in(data, b"av1C"), data[data.index(b"mdat") + 4 :], pixels.shape[1::-1])


@cache
def hdr(transfer: int, luma: int) -> Coded:
    """A ramp of 10-bit greys from black to `luma` in BT.2020."""
    rows = np.linspace(64, luma, 96).astype(np.uint16)
    planes = np.concatenate([np.repeat(rows[None], 64, 0).ravel(), np.full(64 * 96 // 2, 512, np.uint16)])
    frame = av.VideoFrame.from_ndarray(planes.reshape(96, 96), format="yuv420p10le")
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as out:
        stream = out.add_stream("libsvtav1", rate=25, options={"preset": "10", "crf": "5", "svtav1-params": "lp=1"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace, context.color_range = transfer, 9, 9, 1
        out.mux([*stream.encode(frame), *stream.encode(None)])
    data = target.getvalue()
    with av.open(io.BytesIO(data)) as source:
        sample = next(bytes(packet) for packet in source.demux(video=0) if packet.size)
    return Coded(_box_in(data, b"av1C"), sample, (96, 64))


def single(picture: Coded, *properties: bytes, alpha: Coded | None = None, brand: bytes = b"avif") -> bytes:
    """One picture; `properties` are boxes that describe it further."""
    items = [(b"av01", 0, picture.sample, [picture.configuration, _size(picture.size), *properties])]
    references = b""
    if alpha is not None:
        auxiliary = full_box(b"auxC", 0, 0, b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0")
        items.append((b"av01", 0, alpha.sample, [alpha.configuration, _size(alpha.size), auxiliary]))
        references = box(b"auxl", struct.pack(">3H", 2, 1, 1))
    return _file(items, references, brand)


def grid(columns: int, rows: int, *properties: bytes, claimed: tuple[int, int] | None = None) -> bytes:
    """The picture of tests/media/build.py in tiles; or with a lie about its size."""
    width, height = columns * TILE_PX, rows * TILE_PX
    whole = np.asarray(Image.fromarray(picture(2.0)).resize((width, height)))
    corners = [(y, x) for y in range(0, height, TILE_PX) for x in range(0, width, TILE_PX)]
    tiles = [coded(whole[y : y + TILE_PX, x : x + TILE_PX].copy()) for y, x in corners]
    return _grid(tiles, columns, rows, properties, claimed or (width, height))


def tiled(tile: Coded, columns: int, rows: int, *properties: bytes) -> bytes:
    """The same picture again and again."""
    size = tile.size[0] * columns, tile.size[1] * rows
    return _grid([tile] * (columns * rows), columns, rows, properties, size)


def _grid(tiles: list[Coded], columns: int, rows: int, properties: Sequence[bytes], size: tuple[int, int]) -> bytes:
    layout = struct.pack(">BBBBII", 0, 1, rows - 1, columns - 1, *size)
    items = [(b"grid", 0, layout, [_size(size), *properties])]
    items += [(b"av01", _HIDDEN, tile.sample, [tile.configuration, _size(tile.size)]) for tile in tiles]
    return _file(items, box(b"dimg", struct.pack(f">HH{len(tiles)}H", 1, len(tiles), *range(2, len(tiles) + 2))))


def parts(count: int) -> bytes:
    """So many items, none of which is there."""
    items = struct.pack(">H", count) + b"".join(struct.pack(">HHH", n, 0, 0) for n in range(count))
    located = full_box(b"iloc", 0, 0, struct.pack(">BB", 0x44, 0), items)
    handler = full_box(b"hdlr", 0, 0, bytes(4), b"pict", bytes(13))
    return box(b"ftyp", b"avif", bytes(4), b"avif", b"mif1") + full_box(b"meta", 0, 0, handler, located)


def enlarged(sample: bytes, side_px: int = 12_000) -> bytes:
    """The same whose sequence header says that it is larger (AV1 specification, 5.5.1)."""
    start = sample.index(b"\x0a")
    size = sample[start + 1]
    bits = f"{int.from_bytes(sample[start + 2 : start + 2 + size], 'big'):0{8 * size}b}"
    assert bits[4] == "1", "not the short header of a still picture"
    width_bits, height_bits = (1 + int(bits[at : at + 4], 2) for at in (10, 14))
    rest = bits[18 + width_bits + height_bits :].rstrip("0")
    larger = bits[:10] + f"{13:04b}" * 2 + f"{side_px - 1:014b}" * 2 + rest
    larger += "0" * (-len(larger) % 8)
    body = int(larger, 2).to_bytes(len(larger) // 8, "big")
    return sample[:start] + bytes([0x0A, len(body)]) + body + sample[start + 2 + size :]


def clap(width: int, height: int, right: int = 0, down: int = 0) -> bytes:
    """Show only so much, its middle so far to the right of and below that of the picture."""
    return box(b"clap", struct.pack(">8i", width, 1, height, 1, right, 1, down, 1))


def irot(quarter_turns: int) -> bytes:
    """Turned anticlockwise."""
    return box(b"irot", bytes([quarter_turns]))


def imir(axis: int) -> bytes:
    """Mirrored: 0 upside down, 1 left to right."""
    return box(b"imir", bytes([axis]))


def nclx(primaries: int, transfer: int, matrix: int, full: bool) -> bytes:
    return box(b"colr", b"nclx", struct.pack(">HHHB", primaries, transfer, matrix, full << 7))


def prof(profile: bytes) -> bytes:
    """An ICC profile."""
    return box(b"colr", b"prof", profile)


def _size(size):
    return full_box(b"ispe", 0, 0, struct.pack(">II", *size))


def _box_in(data, kind):
    start = data.index(kind) - 4
    return data[start : start + int.from_bytes(data[start : start + 4], "big")]


def _file(items, references=b"", brand=b"avif"):
    """Items are (kind, flags, data, properties); the first is the picture. What occurs twice is stored once."""
    properties = list(dict.fromkeys(each for item in items for each in item[3]))
    numbers = range(1, len(items) + 1)
    entries = [
        full_box(b"infe", 2, flags, struct.pack(">HH4sB", number, 0, kind, 0))
        for number, (kind, flags, _, _) in zip(numbers, items, strict=True)
    ]
    ties = [
        struct.pack(">HB", number, len(item[3]))
        + bytes(properties.index(each) + 1 | (0x80 if each[4:8] in _ESSENTIAL else 0) for each in item[3])
        for number, item in zip(numbers, items, strict=True)
    ]
    samples = list(dict.fromkeys(item[2] for item in items))
    head = box(b"ftyp", brand, bytes(4), b"avif", b"mif1", b"miaf")

    def meta(start):
        places, at = {}, start
        for sample in samples:
            places[sample], at = at, at + len(sample)
        located = [
            struct.pack(">HHHII", number, 0, 1, places[item[2]], len(item[2]))
            for number, item in zip(numbers, items, strict=True)
        ]
        return full_box(
            b"meta",
            0,
            0,
            full_box(b"hdlr", 0, 0, bytes(4), b"pict", bytes(13)),
            full_box(b"pitm", 0, 0, struct.pack(">H", 1)),
            full_box(b"iinf", 0, 0, struct.pack(">H", len(items)), *entries),
            *([full_box(b"iref", 0, 0, references)] if references else []),
            box(b"iprp", box(b"ipco", *properties), full_box(b"ipma", 0, 0, struct.pack(">I", len(ties)), *ties)),
            full_box(b"iloc", 0, 0, struct.pack(">BBH", 0x44, 0, len(items)), *located),
        )

    return head + meta(len(head) + len(meta(0)) + 8) + box(b"mdat", *samples)
