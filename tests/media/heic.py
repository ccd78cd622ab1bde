"""HEIC pictures as telephones make them: a grid of HEVC tiles that are one picture only together (ISO/IEC 23008-12)."""

import io
import struct

import av
import numpy as np
from PIL import Image

from tests.media.build import picture

_TILE_PX = 128
_GRID = 1
_HIDDEN = 1
_X265 = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=1:range=full"}


def box(kind: bytes, *bodies: bytes) -> bytes:
    """One box of an MP4 or HEIC."""
    body = b"".join(bodies)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, version: int, flags: int, *bodies: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *bodies)


def grid(width: int = 320, height: int = 240, quarter_turns: int = 0, claimed: tuple[int, int] | None = None) -> bytes:
    """The picture of tests/media/build.py in tiles of 128 x 128; turned anticlockwise for showing; or with a lie about
    its size."""
    rows, columns = -(-height // _TILE_PX), -(-width // _TILE_PX)
    pixels = np.asarray(Image.fromarray(picture(2.0)).resize((width, height)))
    configuration, tiles = _tiles(pixels, rows, columns)
    shown = claimed or (width, height)
    layout = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)
    if claimed:
        layout = struct.pack(">BBBBII", 0, 1, rows - 1, columns - 1, *claimed)
    properties = [
        configuration,
        full_box(b"ispe", 0, 0, struct.pack(">II", _TILE_PX, _TILE_PX)),
        full_box(b"ispe", 0, 0, struct.pack(">II", *shown)),
        box(b"colr", b"nclx", struct.pack(">HHHB", 1, 13, 6, 0x80)),
        *([box(b"irot", bytes([quarter_turns]))] if quarter_turns else []),
    ]
    return _file(layout, tiles, properties)


def single(pixels: np.ndarray, *properties: bytes) -> bytes:
    """A grid of one tile of this size, with further properties."""
    height, width, _ = pixels.shape
    configuration, tiles = _tiles(pixels, 1, 1)
    sizes = [full_box(b"ispe", 0, 0, struct.pack(">II", *size)) for size in ((_TILE_PX, _TILE_PX), (width, height))]
    return _file(struct.pack(">BBBBHH", 0, 0, 0, 0, width, height), tiles, [configuration, *sizes, *properties])


def _tiles(pixels: np.ndarray, rows: int, columns: int) -> tuple[bytes, list[bytes]]:
    """The hvcC box and each tile's compressed bytes, row by row; the last ones are filled up."""
    whole = np.zeros((rows * _TILE_PX, columns * _TILE_PX, 3), np.uint8)
    whole[: pixels.shape[0], : pixels.shape[1]] = pixels
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as out:
        stream = out.add_stream("libx265", rate=25, options=_X265)
        stream.width = stream.height = _TILE_PX
        stream.pix_fmt, stream.codec_context.thread_count = "yuv420p", 1
        for row in range(rows):
            for column in range(columns):
                y, x = row * _TILE_PX, column * _TILE_PX
                tile = av.VideoFrame.from_ndarray(whole[y : y + _TILE_PX, x : x + _TILE_PX].copy(), format="rgb24")
                out.mux(stream.encode(tile.reformat(format="yuv420p", dst_color_range="JPEG", dst_colorspace=5)))
        out.mux(stream.encode(None))
    data = target.getvalue()
    start = data.index(b"hvcC") - 4
    with av.open(io.BytesIO(data)) as source:
        tiles = [bytes(packet) for packet in source.demux(video=0) if packet.size]
    return data[start : start + int.from_bytes(data[start : start + 4], "big")], tiles


def _file(layout: bytes, tiles: list[bytes], properties: list[bytes]) -> bytes:
    count = len(tiles)
    the_grid = count + 1
    entries = [
        full_box(b"infe", 2, _HIDDEN, struct.pack(">HH4sB", item, 0, b"hvc1", 0)) for item in range(1, count + 1)
    ]
    entries.append(full_box(b"infe", 2, 0, struct.pack(">HH4sB", the_grid, 0, b"grid", 0)))
    # Tiles have properties 1 and 2, the grid all from 3 on; 0x80: who does not know it may not show the picture.
    ties = [struct.pack(">HBBB", item, 2, 0x81, 2) for item in range(1, count + 1)]
    ties.append(struct.pack(">HB", the_grid, len(properties) - 2) + bytes(range(3, len(properties) + 1)))
    head = box(b"ftyp", b"heic", bytes(4), b"mif1", b"heic")

    def meta(at: int) -> bytes:
        places = []
        for item, tile in enumerate(tiles, start=1):
            places.append(struct.pack(">HHHHII", item, 0, 0, 1, at, len(tile)))
            at += len(tile)
        places.append(struct.pack(">HHHHII", the_grid, 1, 0, 1, 0, len(layout)))
        return full_box(
            b"meta",
            0,
            0,
            full_box(b"hdlr", 0, 0, bytes(4), b"pict", bytes(13)),
            full_box(b"pitm", 0, 0, struct.pack(">H", the_grid)),
            full_box(b"iinf", 0, 0, struct.pack(">H", count + 1), *entries),
            full_box(b"iref", 0, 0, box(b"dimg", struct.pack(f">HH{count}H", the_grid, count, *range(1, count + 1)))),
            box(
                b"iprp",
                box(b"ipco", *properties),
                full_box(b"ipma", 0, 0, struct.pack(">I", len(ties)), *ties),
            ),
            full_box(b"iloc", 1, 0, struct.pack(">BBH", 0x44, 0, count + 1), *places),
            box(b"idat", layout),
        )

    start = len(head) + len(meta(0)) + 8
    return head + meta(start) + box(b"mdat", *tiles)
