"""What a container says about how its picture is shown and FFmpeg or PyAV does not pass on: cropping, colour, keys."""

from dataclasses import dataclass
from fractions import Fraction

from assay.errors import OverLimit
from gateway.decode.worker import matroska, mp4
from gateway.decode.worker.mp4 import siblings, u32

_MAX_PICTURES = 64
_UNSPECIFIED = 2
"""In ITU-T H.273, of each of the three numbers that say what colours mean."""

_MP4_FIELD_ORDERS = {b"\2\1": "tff", b"\2\6": "bff", b"\2\x09": "bff", b"\2\x0e": "tff", b"\2\0": "tff"}
"""QuickTime File Format, `fiel`: two fields in a frame, and which is shown first."""
_MATROSKA_FIELD_ORDERS = {1: "tff", 6: "bff", 9: "tff", 14: "bff"}


@dataclass(frozen=True, slots=True)
class Crop:
    """Pixels to leave out on each side of a frame as it is stored, before it is turned and its pixels made square."""

    left_px: int = 0
    top_px: int = 0
    right_px: int = 0
    bottom_px: int = 0

    def fits(self, width_px: int, height_px: int) -> bool:
        """Whether anything is left of such a frame."""
        return self.left_px + self.right_px < width_px and self.top_px + self.bottom_px < height_px

    def __bool__(self) -> bool:
        return any((self.left_px, self.top_px, self.right_px, self.bottom_px))


@dataclass(frozen=True, slots=True)
class Presentation:
    """Of one track with a picture."""

    crop: Crop = Crop()
    size_px: tuple[int, int] = (0, 0)
    """Width and height to which `crop` belongs."""
    curve: int = _UNSPECIFIED
    """Transfer characteristics in the numbers of ITU-T H.273, as are `primaries` and `matrix`; 2: not said."""
    primaries: int = _UNSPECIFIED
    matrix: int = _UNSPECIFIED
    is_full_range: bool | None = None
    """None: not said."""
    is_encrypted: bool = False
    field_order: str = ""
    """Of an interlaced picture which field is shown first, tff or bff; empty if it is not, or nothing is said."""

    def crop_of(self, width_px: int, height_px: int) -> Crop:
        """Of a frame of this size; none of one that the container did not speak of."""
        return self.crop if (width_px, height_px) == self.size_px else Crop()

    def cropped_size(self, width_px: int, height_px: int) -> tuple[int, int]:
        """Width and height that are left of a frame of this size."""
        crop = self.crop_of(width_px, height_px)
        return width_px - crop.left_px - crop.right_px, height_px - crop.top_px - crop.bottom_px


Presentations = dict[int, Presentation]


def check_count(pictures: int) -> None:
    """Raises `OverLimit` for more tracks with a picture than any file has: each costs a decoder while it is opened."""
    if pictures > _MAX_PICTURES:
        raise OverLimit(f"the file has {pictures} video tracks, the limit is {_MAX_PICTURES}; export it with one")


def of_mp4(index: bytes) -> Presentations:
    """Track to what its first sample entry says; `index` is a moov box that was checked before."""
    traks = [trak for kind, trak in siblings(memoryview(index)[_body_of(index) :]) if kind == b"trak"]
    entries = [_sample_entry(dict(siblings(trak))) for trak in traks]
    presentations = [(track, _of_entry(entry)) for track, entry in entries if entry is not None]
    check_count(len(presentations))
    return dict(presentations)


def _body_of(box: bytes) -> int:
    return 16 if box[:4] == b"\0\0\0\1" else 8


def _sample_entry(trak: dict[bytes, memoryview]) -> tuple[int, memoryview | None]:
    """Number of the track and its sample entry; None for one that has no picture."""
    header = trak.get(b"tkhd", memoryview(b""))
    track = u32(header, 20 if bytes(header[:1]) == b"\1" else 12)
    boxes = trak
    for kind in (b"mdia", b"minf", b"stbl"):
        boxes = dict(siblings(boxes.get(kind, memoryview(b""))))
        if kind == b"mdia" and bytes(boxes.get(b"hdlr", memoryview(b""))[8:12]) != b"vide":
            return track, None
    return track, boxes.get(b"stsd", memoryview(b""))[8:]


def _of_entry(entries: memoryview) -> Presentation:
    """ISO/IEC 14496-12, 12.1 (visual sample entry, `clap`, `colr`) and 23001-7 (`encv`)."""
    kind, entry = next(siblings(entries), (b"", memoryview(b"")))
    size = _u16(entry, 24), _u16(entry, 26)
    boxes = dict(mp4.whole_siblings(entry[78:]))
    colour = boxes.get(b"colr", memoryview(b""))
    says_colour = bytes(colour[:4]) in (b"nclx", b"nclc")
    return Presentation(
        crop=clean_aperture(boxes.get(b"clap", memoryview(b"")), *size),
        size_px=size,
        primaries=_u16(colour, 4) if says_colour else _UNSPECIFIED,
        curve=_u16(colour, 6) if says_colour else _UNSPECIFIED,
        matrix=_u16(colour, 8) if says_colour else _UNSPECIFIED,
        is_full_range=bool(colour[10] & 0x80) if bytes(colour[:4]) == b"nclx" and len(colour) > 10 else None,
        is_encrypted=kind in (b"encv", b"drmi") or b"sinf" in boxes,
        field_order=_MP4_FIELD_ORDERS.get(bytes(boxes.get(b"fiel", b"")), ""),
    )


def clean_aperture(box: memoryview, width_px: int, height_px: int) -> Crop:
    """ISO/IEC 14496-12, 12.1.4: the part that is shown, by its size and by how far its middle is from the frame's."""
    if len(box) < 32:
        return Crop()
    numbers = [u32(box, at) for at in range(0, 32, 4)]
    if 0 in numbers[1::2]:
        return Crop()
    width, height, right, down = (Fraction(_signed(n), d) for n, d in zip(numbers[::2], numbers[1::2], strict=True))
    if not (0 < width <= width_px and 0 < height <= height_px):
        return Crop()
    left, top = (width_px - width) / 2 + right, (height_px - height) / 2 + down
    sides = (left, top, width_px - width - left, height_px - height - top)
    return Crop(*(round(side) for side in sides)) if min(sides) >= 0 else Crop()


def of_matroska(tracks: bytes) -> list[Presentation]:
    """Of the tracks with a picture, in their order; `tracks` is the body of the Tracks element."""
    presentations = []
    for identity, track in matroska.elements(tracks):
        elements = dict(matroska.elements(track)) if identity == matroska.TRACK else {}
        if matroska.number(elements.get(matroska.TRACK_TYPE, b"")) == matroska.PICTURE:
            presentations.append(_of_track(elements))
    check_count(len(presentations))
    return presentations


def _of_track(track: dict[int, bytes]) -> Presentation:
    """RFC 9559, section 5.1.4.1: what is not said is 0, or 2 for the numbers of H.273."""
    video = dict(matroska.elements(track.get(matroska.VIDEO, b"")))
    colour = dict(matroska.elements(video.get(matroska.COLOUR, b"")))

    def number(elements: dict[int, bytes], identity: int, default: int) -> int:
        return matroska.number(elements[identity]) if identity in elements else default

    size = number(video, matroska.WIDTH, 0), number(video, matroska.HEIGHT, 0)
    sides = [number(video, each, 0) for each in matroska.CROPS]
    crop = Crop(*sides)
    colour_range = number(colour, matroska.RANGE, 0)
    return Presentation(
        crop=crop if crop.fits(*size) else Crop(),
        size_px=size,
        primaries=number(colour, matroska.PRIMARIES, _UNSPECIFIED),
        curve=number(colour, matroska.CURVE, _UNSPECIFIED),
        matrix=number(colour, matroska.MATRIX, _UNSPECIFIED),
        is_full_range={1: False, 2: True}.get(colour_range),
        is_encrypted=matroska.is_encrypted(track),
        field_order=_matroska_field_order(
            number(video, matroska.INTERLACED, 0), number(video, matroska.FIELD_ORDER, 2)
        ),
    )


def _matroska_field_order(interlaced: int, order: int) -> str:
    """Of FlagInterlaced (1 is yes, 2 is no) and FieldOrder; some programs write one of them alone."""
    return "" if interlaced == 2 else _MATROSKA_FIELD_ORDERS.get(order, "tff" if interlaced == 1 and order else "")


def _u16(body: memoryview, at: int) -> int:
    return int.from_bytes(body[at : at + 2], "big")


def _signed(number: int) -> int:
    return number - (1 << 32) if number >> 31 else number
