"""TIFF: which of its directories is the picture, and whether it is one that can be decoded (by libtiff, in Pillow).

TIFF 6.0, its supplements, TIFF/EP (ISO 12234-2) and BigTIFF.
"""

import io
import itertools
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from assay.errors import BadMedia
from gateway.decode.worker.budget import check_pixels
from gateway.decode.worker.header import DAMAGED
from gateway.decode.worker.icc import ColourTags
from gateway.decode.worker.resize import Orientation, from_exif

PAGES = "the file has several pages: of several pages the first was judged"
_MOST_DIRECTORIES = 256
"""That are read; a scanned book may have more, and its first page is the first in any case."""
_SUBFILE_TYPE, _OLD_SUBFILE_TYPE = 254, 255
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, MAKE, STRIPS, ORIENTATION = 256, 257, 258, 259, 262, 271, 273, 274
_PLANES, _EXTRA = 284, 338
STRIP_SIZES, JPEG_START, JPEG_SIZE, SAMPLE_FORMAT = 279, 513, 514, 339
_TILES, _TILE_SIZES, SUB_DIRECTORIES, _PROFILE = 324, 325, 330, 34675
_REDUCED, _MASK, _DEPTH, _SEMANTIC_MASK = 1, 4, 8, 1 << 16
_WHITE_IS_ZERO = 0
_NUMBERS = {1: "u1", 3: "u2", 4: "u4", 7: "u1", 13: "u4", 16: "u8", 18: "u8"}
"""Types of TIFF that hold unsigned integers."""
_FLOATING, _SIGNED = "floating point", "signed"
_FORMATS = {2: _SIGNED, 3: _FLOATING, 5: "complex", 6: "complex"}
_UNKNOWN_COMPRESSIONS = {
    **{34712: "JPEG 2000", 33003: "JPEG 2000", 33004: "JPEG 2000", 33005: "JPEG 2000", 34661: "JBIG", 34715: "JBIG2"},
    **{34887: "LERC", 34892: "lossy JPEG of raw data", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL"},
}
# Pillow's own reader mixes up planes of 16 bits; libtiff reads everything that it does.
TiffImagePlugin.READ_LIBTIFF = True
# It has no mode for grey and transparency of 16 bits: their four bytes are taken for four channels.
_DEEP_GREY_AND_MORE = (16, 16)
for _prefix, _kind in itertools.product((b"II", b"MM"), (0, 1, 2)):
    TiffImagePlugin.OPEN_INFO[_prefix, 1, (1,), 1, _DEEP_GREY_AND_MORE, (_kind,)] = ("RGBA", "RGBA")
TiffImagePlugin.OPEN_INFO[b"MM", 0, (1,), 1, (16,), ()] = ("I;16B", "I;16B")


@dataclass(frozen=True, slots=True)
class Directory:
    """One picture of the file (IFD)."""

    data: bytes
    order: str
    """< or >, as of `struct`."""
    start: int
    fields: dict[int, tuple[int, int, int]]
    """Tag -> type, count, and where the values are."""

    def numbers(self, tag: int) -> Sequence[int]:
        """Values of a field of integers; empty if it is not there, or claims more than the file holds."""
        kind, count, at = self.fields.get(tag, (0, 0, 0))
        dtype = np.dtype(self.order + _NUMBERS.get(kind, "u1"))
        if kind not in _NUMBERS or at + count * dtype.itemsize > len(self.data):
            return ()
        return np.frombuffer(self.data, dtype, count, at)  # type: ignore[return-value]

    def number(self, tag: int, default: int = 0) -> int:
        return next((int(value) for value in self.numbers(tag)[:1]), default)

    def text(self, tag: int) -> str:
        kind, count, at = self.fields.get(tag, (0, 0, 0))
        return self.data[at : at + min(count, 100)].split(b"\0")[0].decode("latin-1").strip() if kind == 2 else ""

    @property
    def kind(self) -> int:
        """NewSubfileType; of the old SubfileType where only that is there."""
        old = {2: _REDUCED}.get(self.number(_OLD_SUBFILE_TYPE), 0)
        return self.number(_SUBFILE_TYPE) if _SUBFILE_TYPE in self.fields else old

    @property
    def is_whole(self) -> bool:
        """A picture in full size, no thumbnail of another and no mask."""
        return not self.kind & (_REDUCED | _MASK | _DEPTH | _SEMANTIC_MASK)

    @property
    def pixels(self) -> int:
        return self.number(WIDTH) * self.number(HEIGHT)

    @property
    def is_in_file(self) -> bool:
        """All its strips or tiles are there."""
        places = np.asarray(self.numbers(STRIPS if STRIPS in self.fields else _TILES), np.uint64)
        sizes = np.asarray(self.numbers(STRIP_SIZES if STRIPS in self.fields else _TILE_SIZES), np.uint64)
        if not len(places) or len(places) != len(sizes):
            return bool(len(places))
        return int((places + sizes).max()) <= len(self.data)


def directories_of(data: bytes) -> list[list[Directory]]:
    """The chain of directories, each with those that it names as its own (SubIFDs) behind it."""
    order = "<" if data[:2] == b"II" else ">"
    is_big = data[2 if order == "<" else 3] == 43
    start = struct.unpack_from(order + ("Q" if is_big else "I"), data, 8 if is_big else 4)[0]
    visited: set[int] = set()
    found = []
    for top in _chain(data, order, is_big, start, visited):
        below = [
            part
            for sub in top.numbers(SUB_DIRECTORIES)[:_MOST_DIRECTORIES]
            for part in _chain(data, order, is_big, int(sub), visited)
        ]
        found.append([top, *below])
    if not found:
        raise BadMedia(DAMAGED.format("TIFF"))
    return found


def directories_at(parent: Directory, start: int) -> Iterator[Directory]:
    """The chain that begins at one place of the file, for what is no picture, as EXIF."""
    data, order = parent.data, parent.order
    return _chain(data, order, data[2 if order == "<" else 3] == 43, start, set())


def _chain(data: bytes, order: str, is_big: bool, start: int, visited: set[int]) -> Iterator[Directory]:
    """From one directory to the next, none twice: a file may lead in circles."""
    count_form, entry, inline, offset_form = ("Q", 20, 8, "Q") if is_big else ("H", 12, 4, "I")
    while start and start not in visited and len(visited) < _MOST_DIRECTORIES:
        visited.add(start)
        if start + struct.calcsize(count_form) > len(data):
            return
        (count,) = struct.unpack_from(order + count_form, data, start)
        first = start + struct.calcsize(count_form)
        last = first + count * entry
        if count > 4096 or last > len(data):
            return
        fields: dict[int, tuple[int, int, int]] = {}
        for at in range(first, last, entry):
            tag, kind, size = struct.unpack_from(order + "HH" + offset_form, data, at)
            where = at + entry - inline
            if size * _SIZES.get(kind, 1) > inline:
                (where,) = struct.unpack_from(order + offset_form, data, where)
            fields.setdefault(tag, (kind, size, where))
        yield Directory(data, order, start, fields)
        if last + inline > len(data):
            return
        (start,) = struct.unpack_from(order + offset_form, data, last)


_SIZES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


def picture_of(chain: list[list[Directory]]) -> Directory:
    """The first picture in full size, in the order of the pages; the largest where all say that they are reduced."""
    every = [directory for page in chain for directory in page]
    return next((d for d in every if d.is_whole and d.pixels), max(every, key=lambda d: d.pixels))


def decode_tiff(
    chain: list[list[Directory]], max_pixels: int, warnings: list[str]
) -> tuple[Image.Image, Orientation, ColourTags]:
    """The picture as L, LA, RGB, RGBA, CMYK or LAB, how it is still to be turned, and in which colours it is.

    Raises `BadMedia`, `OverLimit`."""
    chosen, first = picture_of(chain), chain[0][0]
    check_pixels(chosen.pixels, max_pixels)
    _check(chosen)
    if sum(page[0].is_whole for page in chain) > 1:
        warnings.append(PAGES)
    try:
        with Image.open(io.BytesIO(_starting_with(chosen, first)), formats=["TIFF"]) as image:
            check_pixels(image.width * image.height, max_pixels)  # should it read the tags otherwise
            profile = image.info.get("icc_profile", b"") or _profile_of(first)
            image.load()
            return _eight_bits(image, chosen), _turn_left(chosen, first), ColourTags(profile)
    except UnidentifiedImageError as problem:
        raise BadMedia(_refusal(chosen)) from problem
    except (ValueError, SyntaxError, OSError, RuntimeError, TypeError, KeyError, struct.error) as problem:
        raise BadMedia(DAMAGED.format("TIFF")) from problem


def _check(chosen: Directory) -> None:
    """Name what no decoder here understands, or would show without saying that it is wrong."""
    if chosen.data[:4] == b"MM\0+":
        raise BadMedia("this is a BigTIFF in big-endian order, which is not accepted; export it as an ordinary TIFF")
    compression = _UNKNOWN_COMPRESSIONS.get(chosen.number(COMPRESSION, 1))
    if compression:
        raise BadMedia(f"this is a TIFF compressed with {compression}, which is not accepted; export it as LZW or JPEG")
    bits, form = set(chosen.numbers(BITS)), _FORMATS.get(chosen.number(SAMPLE_FORMAT, 1))
    if form or any(number > 16 for number in bits):
        raise BadMedia(_refusal(chosen))
    if len(chosen.numbers(BITS)) == 2 and chosen.number(_PLANES) == 2:
        raise BadMedia("this is a TIFF of grey and transparency in two planes, which is not accepted; export it as RGB")
    if not chosen.pixels or not chosen.is_in_file:
        raise BadMedia(DAMAGED.format("TIFF"))


def _refusal(chosen: Directory) -> str:
    """Of numbers or colours for which there is no decoder."""
    bits = [int(number) for number in chosen.numbers(BITS)[:8]] or [1]
    form = _FORMATS.get(chosen.number(SAMPLE_FORMAT, 1), "unsigned")
    is_ordinary = form == "unsigned" and set(bits) <= {8, 16}
    numbers = f"of {form} numbers with {'+'.join(map(str, bits))} bits (photometric {chosen.number(PHOTOMETRIC)})"
    way = "as RGB without further channels" if is_ordinary else "with 8 or 16 bits per channel"
    return f"this is a TIFF {numbers}, which is not accepted; export it {way}"


def _starting_with(chosen: Directory, first: Directory) -> bytes:
    """The file whose header points to the chosen directory."""
    data, order = chosen.data, chosen.order
    if chosen.start == first.start:
        return data
    is_big = data[2 if order == "<" else 3] == 43
    at = 8 if is_big else 4
    head = data[:at] + struct.pack(order + ("Q" if is_big else "I"), chosen.start)
    return head + data[len(head) :]


def _turn_left(chosen: Directory, first: Directory) -> Orientation:
    """Pillow turns a picture as its directory says; one that does not say is turned like the first of the file."""
    return Orientation() if ORIENTATION in chosen.fields else from_exif(first.number(ORIENTATION, 1))


def _profile_of(first: Directory) -> bytes:
    return np.asarray(first.numbers(_PROFILE), np.uint8).tobytes()


def _eight_bits(image: Image.Image, chosen: Directory) -> Image.Image:
    """Whatever the depth; Pillow turns 16-bit grey into white, and does not turn round a scale that begins at white."""
    if image.mode.startswith("I;16"):
        levels = (1 << chosen.number(BITS, 16)) - 1
        grey = np.asarray(image)
        table = (np.arange(65536, dtype=np.uint32).clip(max=levels) * 255 + levels // 2) // levels
        shown = table.astype(np.uint8)[grey]
        return Image.fromarray(255 - shown if chosen.number(PHOTOMETRIC) == _WHITE_IS_ZERO else shown)
    if tuple(chosen.numbers(BITS)) == _DEEP_GREY_AND_MORE:
        return _grey_and_more(image, chosen.number(_EXTRA))
    plain = {"La": "LA", "RGBa": "RGBA", "1": "L", "P": "RGBA", "PA": "RGBA", "YCbCr": "RGB", "RGBX": "RGB"}
    return image.convert(plain[image.mode]) if image.mode in plain else image


def _grey_and_more(image: Image.Image, kind: int) -> Image.Image:
    """Of 16 bits each; `kind` (ExtraSamples) is 0 for what is no transparency, 1 where grey was multiplied by it."""
    both = np.asarray(image).view("<u2" if sys.byteorder == "little" else ">u2").astype(np.uint32)
    grey, opacity = both[..., 0], both[..., 1]
    if kind == 1:
        grey = (grey * np.uint64(65535) // np.maximum(opacity, 1)).clip(max=65535)
    eight = np.stack([grey, opacity if kind else np.full_like(opacity, 65535)], axis=-1)
    return Image.fromarray(((eight + 128) // 257).astype(np.uint8))
