"""TIFF as programs and cameras write it: any order of bytes, any depth, pages, and directories below directories."""

import struct
from dataclasses import dataclass, field

import numpy as np

BYTE, ASCII, SHORT, LONG, LONG8 = 1, 2, 3, 4, 16
_FORMS = {BYTE: "B", SHORT: "H", LONG: "I", LONG8: "Q"}


@dataclass
class Page:
    """One directory: its pixels or ready bytes, tags besides those that follow from them, and directories below it."""

    pixels: "np.ndarray | bytes"
    """(height, width[, channels]), or (channels, height, width) where it is `planar`; 8 or 16 bits; or strip data."""
    photometric: int = 2
    tags: dict[int, "int | str | bytes | tuple[int, ...]"] = field(default_factory=dict)
    below: list["Page"] = field(default_factory=list)
    planar: bool = False
    strips: int = 1
    tile_px: int = 0


def tiff(*pages: Page, order: str = "<", big: bool = False, cr2: bool = False) -> bytes:
    """A file of these pages."""
    head = b"II" if order == "<" else b"MM"
    head += struct.pack(f"{order}HHHQ", 43, 8, 0, 0) if big else struct.pack(f"{order}HI", 42, 0)
    out = bytearray(head + (b"CR\2\0" + bytes(4) if cr2 else b""))
    place = 8 if big else 4
    for page in pages:
        start, after = _write(out, page, order, big)
        struct.pack_into(order + ("Q" if big else "I"), out, place, start)
        place = after
    return bytes(out)


def _write(out: bytearray, page: Page, order: str, big: bool) -> tuple[int, int]:
    """Where the directory is, and where the place of the next has to be written."""
    subs = [_write(out, sub, order, big)[0] for sub in page.below]
    tags = {**_described(page), **_stored(out, page, order), **({330: tuple(subs)} if subs else {}), **page.tags}
    entries = b""
    for tag, value in sorted(tags.items()):
        kind, count, packed = _packed(value, order, tag)
        if len(packed) > (8 if big else 4):
            at, packed = len(out), packed + bytes(len(packed) % 2)
            out += packed
            packed = struct.pack(order + ("Q" if big else "I"), at)
        entries += struct.pack(order + ("HHQ" if big else "HHI"), tag, kind, count) + packed.ljust(
            8 if big else 4, b"\0"
        )
    start = len(out)
    out += struct.pack(order + ("Q" if big else "H"), len(tags)) + entries
    out += bytes(8 if big else 4)
    return start, len(out) - (8 if big else 4)


def _packed(value, order, tag):
    if isinstance(value, str):
        return ASCII, len(value) + 1, value.encode() + b"\0"
    if isinstance(value, bytes):
        return BYTE, len(value), value
    numbers = value if isinstance(value, tuple) else (value,)
    kind = SHORT if max(numbers) < 65536 and tag not in (273, 279, 324, 325, 330) else LONG
    return kind, len(numbers), struct.pack(f"{order}{len(numbers)}{_FORMS[kind]}", *numbers)


def _described(page):
    if isinstance(page.pixels, bytes):
        return {262: page.photometric}
    shape = page.pixels.shape
    height, width = shape[1:] if page.planar else shape[:2]
    channels = (shape[0] if page.planar else shape[2]) if len(shape) == 3 else 1
    bits = 8 * page.pixels.itemsize
    described = {256: width, 257: height, 258: (bits,) * channels, 259: 1, 262: page.photometric, 277: channels}
    return {**described, 284: 2} if page.planar else described


def _stored(out, page, order):
    """Strips or tiles behind what was written so far."""
    if isinstance(page.pixels, bytes):
        pieces, named = [page.pixels], (273, 279)
        extra = {}
    else:
        pixels = page.pixels.astype(page.pixels.dtype.newbyteorder(order))
        if page.tile_px:
            side = page.tile_px
            pieces = [
                pixels[y : y + side, x : x + side].tobytes()
                for y in range(0, pixels.shape[0], side)
                for x in range(0, pixels.shape[1], side)
            ]
            named, extra = (324, 325), {322: side, 323: side}
        elif page.planar:
            pieces, named, extra = [plane.tobytes() for plane in pixels], (273, 279), {278: pixels.shape[1]}
        else:
            rows = -(-pixels.shape[0] // page.strips)
            pieces = [pixels[y : y + rows].tobytes() for y in range(0, pixels.shape[0], rows)]
            named, extra = (273, 279), {278: rows}
    places = []
    for piece in pieces:
        places.append(len(out))
        out += piece + bytes(len(piece) % 2)
    return {named[0]: tuple(places), named[1]: tuple(map(len, pieces)), **extra}
