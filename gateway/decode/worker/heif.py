"""The items of a HEIC or AVIF file: which is the picture, of what it is made, and where its bytes are.

ISO/IEC 14496-12, 8.11, and 23008-12. Only boxes are read here, never a sample.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from assay.errors import OverLimit
from gateway.decode.worker import mp4
from gateway.decode.worker.colour import is_hdr
from gateway.decode.worker.icc import ColourTags

_MAX_ITEMS = 4096
"""A picture of 50 million pixels in tiles of 128 x 128 has 3,052."""


@dataclass(slots=True)
class Item:
    """A coded picture, a grid of others, a block of metadata."""

    kind: bytes = b""
    extents: list[tuple[int, int]] = field(default_factory=list)
    """Start and size in the file of what is in the file."""
    properties: list[tuple[bytes, memoryview]] = field(default_factory=list)

    def property(self, kind: bytes) -> memoryview:
        """Body of the first property of a kind; empty if there is none."""
        return next((body for name, body in self.properties if name == kind), memoryview(b""))


@dataclass(slots=True)
class Items:
    primary: int = 0
    """Number of the picture to show."""
    by_number: dict[int, Item] = field(default_factory=dict)
    references: list[tuple[bytes, int, list[int]]] = field(default_factory=list)
    """Kind, from which item, to which."""

    @property
    def picture(self) -> Item:
        return self.by_number.get(self.primary, Item())

    def coded(self) -> list[Item]:
        """All that has to be decoded to show the picture: itself or its tiles, and the same of its transparency."""
        masks = [source for kind, source, targets in self.references if kind == b"auxl" and self.primary in targets]
        numbers = [self.primary, *self.tiles, *masks]
        numbers += [tile for mask in masks for tile in self._made_of(mask)]
        return [self.by_number[number] for number in dict.fromkeys(numbers) if number in self.by_number]

    @property
    def tiles(self) -> list[int]:
        """Of a grid, row by row."""
        return self._made_of(self.primary)

    def _made_of(self, number: int) -> list[int]:
        return [
            part for kind, source, parts in self.references if kind == b"dimg" and source == number for part in parts
        ]


class _Numbers:
    """Big-endian integers of a box, one after another."""

    def __init__(self, body: memoryview, start: int) -> None:
        self._body = body
        self.at = start

    def next(self, size_bytes: int) -> int:
        if self.at + size_bytes > len(self._body):
            raise IndexError("a box is shorter than what it lists")
        self.at += size_bytes
        return int.from_bytes(self._body[self.at - size_bytes : self.at], "big")


def items_of(data: bytes) -> Items:
    """Raises `BadMedia` or `IndexError` where boxes are broken, `OverLimit`; `KeyError` if there are no items."""
    boxes = dict(mp4.siblings(memoryview(data)))
    inside = dict(mp4.siblings(boxes[b"meta"][4:]))
    found = Items()
    for number, extents in _places(inside[b"iloc"]):
        found.by_number.setdefault(number, Item()).extents += extents
        if len(found.by_number) > _MAX_ITEMS:
            raise OverLimit(f"the picture is made of more than {_MAX_ITEMS} parts; export it in one")
    _add_kinds(inside.get(b"iinf", memoryview(b"")), found)
    _add_properties(dict(mp4.siblings(inside.get(b"iprp", memoryview(b"")))), found)
    _add_references(inside.get(b"iref", memoryview(b"")), found)
    primary = inside.get(b"pitm", memoryview(b"\0\0\0\0\0\0"))
    found.primary = _Numbers(primary, 4).next(4 if primary[0] else 2)
    return found


def check_whole(items: Items, size_bytes: int) -> bool:
    """Whether everything that the file names is in it: decoders show missing tiles as green ones, and say nothing."""
    return all(start + size <= size_bytes for item in items.by_number.values() for start, size in item.extents)


def colours_of(items: Items, profile: bytes, coded: ColourTags) -> ColourTags:
    """Of the picture. The container's word counts more than that of the coded data (AVIF 1.1, 2.2.1), and a profile
    more than numbers, unless these are of HDR, which profiles cannot say."""
    boxes = [body for kind, body in items.picture.properties if kind == b"colr" and bytes(body[:4]) == b"nclx"]
    if boxes and len(boxes[0]) >= 10:
        primaries, transfer = (int.from_bytes(boxes[0][at : at + 2], "big") for at in (4, 6))
        coded = ColourTags(primaries=primaries, transfer=transfer)
    return coded if is_hdr(coded.transfer) or not profile else ColourTags(profile)


def _places(box: memoryview) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Items of a location box with the parts of the file that they are."""
    version = box[0]
    offset_bytes, length_bytes, base_bytes, index_bytes = box[4] >> 4, box[4] & 15, box[5] >> 4, box[5] & 15
    numbers = _Numbers(box, 6)
    wide = 4 if version == 2 else 2
    for _ in range(numbers.next(wide)):
        item = numbers.next(wide)
        is_in_file = version == 0 or numbers.next(2) & 15 == 0
        numbers.next(2)
        base, extents = numbers.next(base_bytes), []
        for _ in range(numbers.next(2)):
            numbers.next(index_bytes if version else 0)
            extents.append((base + numbers.next(offset_bytes), numbers.next(length_bytes)))
        yield item, extents if is_in_file else []


def _add_kinds(box: memoryview, found: Items) -> None:
    if not box:
        return
    for kind, entry in mp4.siblings(box[6 if box[0] == 0 else 8 :]):
        if kind == b"infe" and entry[0] >= 2:
            numbers = _Numbers(entry, 4)
            number = numbers.next(2 if entry[0] == 2 else 4)
            found.by_number.setdefault(number, Item()).kind = bytes(entry[numbers.at + 2 : numbers.at + 6])


def _add_properties(boxes: dict[bytes, memoryview], found: Items) -> None:
    if b"ipco" not in boxes or b"ipma" not in boxes:
        return
    every, ties = list(mp4.siblings(boxes[b"ipco"])), boxes[b"ipma"]
    numbers, is_wide = _Numbers(ties, 4), bool(ties[3] & 1)
    for _ in range(numbers.next(4)):
        item = found.by_number.get(numbers.next(4 if ties[0] else 2))
        for _ in range(numbers.next(1)):
            place = numbers.next(2) & 0x7FFF if is_wide else numbers.next(1) & 0x7F
            if item is not None and 0 < place <= len(every):
                item.properties.append(every[place - 1])


def _add_references(box: memoryview, found: Items) -> None:
    if not box:
        return
    wide = 4 if box[0] else 2
    for kind, body in mp4.siblings(box[4:]):
        numbers = _Numbers(body, 0)
        source = numbers.next(wide)
        found.references.append((kind, source, [numbers.next(wide) for _ in range(numbers.next(2))]))
