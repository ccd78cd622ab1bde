"""What a still says of itself before anything is decoded: size, orientation, colours, and whether it is alone."""

import io
import itertools
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from PIL import Image

from assay.errors import BadMedia
from gateway.decode.worker.icc import MAX_PROFILE_BYTES, ColourTags
from gateway.decode.worker.resize import Orientation, from_exif

ANIMATED = "the picture is an animation, of which only the first frame was judged; send a video to have all judged"
SEVERAL = "the file holds several pictures: the first of several pictures was judged"
DAMAGED = "the {} picture is damaged or cut off; send an intact copy"
_EXIF_ORIENTATION = 0x0112
_EXIF, _ICC, _MPF = b"Exif\0\0", b"ICC_PROFILE\0", b"MPF\0"
_MOST_PICTURES = 16
"""Of a multi-picture file, that are read."""
_MOST_PIECES = 100_000
"""Segments or chunks of one file; a PNG of 32 MiB has 4,000."""
_SRGB_GAMMA = 45_455
"""What PNG writers say for sRGB (PNG, third edition, 11.3.2.2), by 1 / 100,000; libpng, too, takes what is within 5 %
for it."""


@dataclass(frozen=True, slots=True)
class Header:
    width_px: int
    height_px: int
    orientation: Orientation = field(default_factory=Orientation)
    note: str = ""
    """What the client should know besides: `ANIMATED` or `SEVERAL`."""
    colours: ColourTags = field(default_factory=ColourTags)
    mode: str = ""
    """Pillow's name of the way in which pixels are stored, where it matters: CMYK."""
    variant: str = ""
    """Of JPEG, if it is not the ordinary one: arithmetic, lossless, 12-bit."""

    @property
    def pixels(self) -> int:
        return self.width_px * self.height_px


def read_header(data: bytes, container: str) -> Header:
    """Raises `BadMedia`."""
    readers: dict[str, Callable[[bytes], Header]] = {"jpeg": read_jpeg, "png": _png, "webp": _webp}
    try:
        if container in readers:
            return readers[container](data)
        with Image.open(io.BytesIO(data), formats=[container.upper()]) as image:
            is_animated = bool(getattr(image, "is_animated", False))
            return Header(image.width, image.height, note=ANIMATED if is_animated else "", colours=_bmp_colours(data))
    except Exception as problem:  # there is no common root for what a broken file makes Pillow raise
        raise BadMedia(DAMAGED.format(container.upper())) from problem


def orientation_in(exif: bytes) -> Orientation:
    """Of an EXIF block; upright if it says nothing or is broken, as viewers show it then."""
    parsed = Image.Exif()
    try:
        parsed.load(exif)
    except (SyntaxError, ValueError, KeyError, OSError, struct.error):
        return Orientation()
    return from_exif(parsed.get(_EXIF_ORIENTATION))


def read_jpeg(data: bytes) -> Header:
    """ISO/IEC 10918-1, annex B: the segments in front of the first scan."""
    exif, parts, frame, is_several = b"", {}, None, False
    for marker, start, body in _jpeg_segments(data):
        if marker == 0xE1 and body.startswith(_EXIF) and not exif:
            exif = body
        elif marker == 0xE2 and body.startswith(_ICC) and len(body) > 14:
            parts[body[12]] = body[14:]
        elif marker == 0xE2 and body.startswith(_MPF) and not is_several:
            is_several = _holds_several(data, start + 4, body[4:])
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            frame = (marker, *struct.unpack_from(">BHHB", body))
    if frame is None:
        raise BadMedia(DAMAGED.format("JPEG"))
    marker, bits, height, width, components = frame
    profile = b"".join(parts[number] for number in sorted(parts))
    return Header(
        *(width, height, orientation_in(exif), SEVERAL if is_several else "", ColourTags(profile)),
        mode="CMYK" if components == 4 else "",
        variant=_jpeg_variant(marker, bits),
    )


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Marker, where the body starts, body."""
    at = 2
    for _ in range(_MOST_PIECES):
        if at + 4 > len(data) or data[at] != 0xFF:
            return
        marker = data[at + 1]
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 1 if marker == 0xFF else 2
            continue
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in (0xD9, 0xDA) or size < 2:
            return
        yield marker, at + 4, data[at + 4 : at + 2 + size]
        at += 2 + size


def _jpeg_variant(marker: int, bits: int) -> str:
    if marker in (0xC9, 0xCA):
        return "arithmetic"
    if marker in (0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF):
        return "hierarchical"
    if marker == 0xC3:
        return "lossless"
    return f"{bits}-bit" if bits != 8 else ""


def _holds_several(data: bytes, base: int, index: bytes) -> bool:
    """Of a multi-picture index (CIPA DC-007): another picture is really there, and is neither a preview of the first
    nor its gain map."""
    order = "<" if index[:2] == b"II" else ">"
    try:
        (at,) = struct.unpack_from(f"{order}I", index, 4)
        (count,) = struct.unpack_from(f"{order}H", index, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, _, size, place = struct.unpack_from(f"{order}HHII", index, entry)
            if tag == 0xB002:
                pictures = struct.iter_unpack(f"{order}IIIHH", index[place : place + size - size % 16])
                first = itertools.islice(pictures, _MOST_PICTURES)
                return any(_is_another(data, base + start, kind) for kind, _, start, _, _ in first if start)
    except struct.error:
        pass
    return False


def _is_another(data: bytes, start: int, kind: int) -> bool:
    is_preview = kind >> 16 & 0xFF == 1
    head = data[start : start + 65536]
    is_gain_map = b"ns.adobe.com/hdr-gain-map" in head or b"urn:iso:std:iso:ts:21496" in head or b"HDRGainMap" in head
    return not is_preview and head.startswith(b"\xff\xd8\xff") and not is_gain_map


PNG_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"cICP", b"IDAT", b"IEND")


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Name, body, and the whole chunk with its length and checksum."""
    at = 8
    for _ in range(_MOST_PIECES):
        if at + 12 > len(data):
            return
        size = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + size], data[at : at + 12 + size]
        at += 12 + size


def plain_png(data: bytes) -> bytes:
    """Without texts, profiles and all else that is not the picture, so that no decoder unpacks it."""
    return data[:8] + b"".join(whole for name, _, whole in png_chunks(data) if name in PNG_CHUNKS)


def _png(data: bytes) -> Header:
    """PNG, third edition (W3C 2025)."""
    found: dict[bytes, bytes] = {}
    for name, body, _ in png_chunks(data):
        if name == b"IDAT":
            found.setdefault(b"eXIf", _exif_behind_the_picture(data))
            break
        found.setdefault(name, body)
    width, height = struct.unpack_from(">2I", found[b"IHDR"])
    note = ANIMATED if int.from_bytes(found.get(b"acTL", b"")[:4], "big") > 1 else ""
    return Header(width, height, orientation_in(found[b"eXIf"]), note, _png_colours(found))


def _exif_behind_the_picture(data: bytes) -> bytes:
    return next((body for name, body, _ in png_chunks(data) if name == b"eXIf"), b"")


def _png_colours(found: dict[bytes, bytes]) -> ColourTags:
    """The chunk that takes precedence (there, 4.3): cICP, iCCP, sRGB, then gAMA and cHRM."""
    if len(coded := found.get(b"cICP", b"")) == 4:
        return ColourTags(primaries=coded[0], transfer=coded[1])
    if b"iCCP" in found:
        return ColourTags(_unpacked(found[b"iCCP"]))
    if b"sRGB" in found:
        return ColourTags()
    gamma = int.from_bytes(found.get(b"gAMA", b""), "big")
    is_srgb = not gamma or abs(gamma / _SRGB_GAMMA - 1) < 0.05
    points: tuple[tuple[float, float], ...] = ()
    if len(chromaticities := found.get(b"cHRM", b"")) == 32:
        numbers = [number / 100_000 for number in struct.unpack(">8I", chromaticities)]
        white, *colorants = zip(numbers[::2], numbers[1::2], strict=True)
        points = (*colorants, white)
    return ColourTags(chromaticities=points, gamma=0.0 if is_srgb else 100_000 / gamma)


def _unpacked(body: bytes) -> bytes:
    """Of an iCCP chunk; what cannot be unpacked comes as it is, and is no profile."""
    packed = body[body.find(b"\0") + 2 :]
    try:
        return zlib.decompressobj().decompress(packed, MAX_PROFILE_BYTES + 1)
    except zlib.error:
        return packed or b"\0"


def _webp(data: bytes) -> Header:
    """RIFF chunks (RFC 9649); the size of a VP8X file is that of its canvas."""
    found: dict[bytes, bytes] = {}
    at = 12
    for _ in range(_MOST_PIECES):
        if at + 8 > len(data):
            break
        name, size = struct.unpack_from("<4sI", data, at)
        found.setdefault(name, data[at + 8 : at + 8 + min(size, MAX_PROFILE_BYTES + 1)])
        at += 8 + size + size % 2
    width, height = _webp_size(found)
    note = ANIMATED if b"ANIM" in found and found.get(b"VP8X", b"\0")[0] & 2 else ""
    return Header(*(width, height, orientation_in(found.get(b"EXIF", b"")), note), ColourTags(found.get(b"ICCP", b"")))


def _webp_size(found: dict[bytes, bytes]) -> tuple[int, int]:
    if len(canvas := found.get(b"VP8X", b"")) >= 10:
        return 1 + int.from_bytes(canvas[4:7], "little"), 1 + int.from_bytes(canvas[7:10], "little")
    if b"VP8L" in found:
        (bits,) = struct.unpack_from("<I", found[b"VP8L"], 1)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<2H", found[b"VP8 "], 6)
    return width & 0x3FFF, height & 0x3FFF


def _bmp_colours(data: bytes) -> ColourTags:
    """The profile inside a bitmap of version 5."""
    if data[:2] == b"BM" and data[14:18] == struct.pack("<I", 124) and data[70:74] == b"DEBM":
        start, size = struct.unpack_from("<2I", data, 126)
        return ColourTags(data[14 + start : 14 + start + size])
    return ColourTags()
