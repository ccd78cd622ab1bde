"""The boxes of an MP4: where its index is, and whether the index claims more than the file can hold.

FFmpeg allocates what the tables claim before anything can stop it (134 kB of file: 4.75 GB), so they are added up
first. Only sizes and counts are read here, never a sample.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from assay.errors import BadMedia, OverLimit
from gateway.decode.spec import DecodeLimits

_CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex")
# Bytes per entry of each table, and the offset of its 32-bit count.
_ENTRY_BYTES = {b"stts": 8, b"ctts": 8, b"stsc": 12, b"stco": 4, b"co64": 8, b"stss": 4, b"elst": 12}
_PCM = (b"sowt", b"twos", b"lpcm", b"raw ", b"in24", b"in32", b"fl32", b"fl64", b"ulaw", b"alaw", b"ipcm", b"fpcm")
_MAX_BOXES = 10_000
"""On the top level."""
_MAX_BOXES_IN_INDEX = 100_000
RangeReader = Callable[[int, int], bytes]
"""Start and size -> bytes: `at` of an upload or of a spool."""
NO_INDEX = "the MP4 has no index (moov): it is cut off or was never finished; record or export it again"


@dataclass(frozen=True, slots=True)
class Layout:
    """Order of the top-level boxes."""

    index: tuple[int, int] | None
    """Start and end of the moov box in bytes, if it comes before the media data."""
    declared_bytes: int
    """The file says that it has at least so many bytes; 0 if it does not say."""


def _header(read: RangeReader, start: int) -> tuple[bytes, int, int] | None:
    """Type of the box at `start`, start of its body, its end (0: it lasts to the end of the file)."""
    head = read(start, 16)
    if len(head) < 8:
        return None
    size, kind = struct.unpack(">I4s", head[:8])
    if size == 1 and len(head) == 16:
        return kind, start + 16, start + max(16, int.from_bytes(head[8:16], "big"))
    if size == 0:
        return kind, start + 8, 0
    return kind, start + 8, start + max(8, size)


def layout(read: RangeReader, max_index_bytes: int, look_ahead_bytes: int) -> Layout:
    """Walk the top-level boxes to the first media data. Raises `BadMedia` if there is no box to be found."""
    start, index = 0, None
    for _ in range(_MAX_BOXES):
        header = _header(read, start)
        if header is None:
            break
        kind, _, end = header
        if kind in (b"mdat", b"moof"):
            return Layout(index, end if kind == b"mdat" else 0)
        if kind == b"moov":
            if end - start > max_index_bytes:
                raise OverLimit(f"the index of the MP4 has {end - start} bytes, the limit is {max_index_bytes}")
            index = (start, end)
        elif end > look_ahead_bytes + (index[1] if index else 0):
            return Layout(index, 0)
        if end == 0:
            break
        start = end
    if index is None:
        raise BadMedia(NO_INDEX)
    return Layout(index, 0)


def index_of(read: RangeReader, size: int) -> tuple[int, int]:
    """Start and end of the moov box of a whole file of `size` bytes. Raises `BadMedia` if it is not there."""
    start = 0
    for _ in range(_MAX_BOXES):
        header = _header(read, start)
        if header is None or header[2] == 0 or header[2] > size:
            break
        if header[0] == b"moov":
            return start, header[2]
        start = header[2]
    raise BadMedia(NO_INDEX)


def check_index(moov: bytes, limits: DecodeLimits) -> None:
    """Refuse a moov box whose tables claim more than they hold or than `limits` allow."""
    tracks = samples = 0
    for boxes, (kind, body) in enumerate(_walk(memoryview(moov))):
        tracks += kind == b"trak"
        if tracks > limits.max_streams:
            raise OverLimit(f"the MP4 has more than {limits.max_streams} tracks; export it with one video track")
        if boxes > _MAX_BOXES_IN_INDEX:
            raise OverLimit(f"the index of the MP4 has more than {_MAX_BOXES_IN_INDEX} boxes; export it again")
        if kind == b"stsz" and u32(body, 4) == 0:
            _check_entries(kind, u32(body, 8), 4, body, limits)
        if kind in _ENTRY_BYTES:
            _check_entries(kind, u32(body, 4), _ENTRY_BYTES[kind], body, limits)
        if kind == b"stbl":
            samples += _checked_samples(dict(siblings(body)), limits)
        if samples > 2 * limits.max_samples:
            raise OverLimit(f"the tracks of the MP4 claim {samples} samples, the limit is {2 * limits.max_samples}")


def siblings(rest: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Type and body of the boxes of one level."""
    while len(rest) >= 8:
        size, kind = struct.unpack_from(">I4s", rest)
        body = 16 if size == 1 else 8
        size = int.from_bytes(rest[8:16], "big") if size == 1 else size or len(rest)
        if size < body or size > len(rest):
            raise BadMedia("the index of the MP4 is damaged or cut off; record or export it again")
        yield bytes(kind), rest[body:size]
        rest = rest[size:]


def _walk(box: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Every box inside; a stack instead of recursion, so that nesting costs nothing."""
    stack = [box]
    while stack:
        for kind, body in siblings(stack.pop()):
            yield kind, body
            if kind in _CONTAINERS:
                stack.append(body)


def u32(body: memoryview, at: int) -> int:
    """A big-endian number; 0 where the body has ended."""
    return int.from_bytes(body[at : at + 4], "big")


def _check_entries(kind: bytes, count: int, entry_bytes: int, body: memoryview, limits: DecodeLimits) -> None:
    if count * entry_bytes > len(body):
        raise BadMedia(f"a table of the MP4 ({kind.decode()}) claims more than the file holds; export it again")
    if count > limits.max_samples:
        raise OverLimit(f"a table of the MP4 has {count} entries, the limit is {limits.max_samples}")


def _checked_samples(tables: dict[bytes, memoryview], limits: DecodeLimits) -> int:
    """Samples of one track: run lengths and a constant size can claim any number of them in a few bytes."""
    stts, stsz = tables.get(b"stts", memoryview(b"")), tables.get(b"stsz", memoryview(b""))
    runs = [u32(stts, 8 + 8 * i) for i in range(min(u32(stts, 4), len(stts) // 8))]
    samples = max(sum(runs), u32(stsz, 8))
    # Uncompressed sound has one sample per tick, which FFmpeg does not index one by one.
    is_pcm = bytes(tables.get(b"stsd", memoryview(b""))[12:16]) in _PCM
    if is_pcm and len(runs) == 1 and u32(stts, 12) == 1:
        return 0
    if samples > limits.max_samples:
        raise OverLimit(f"a track of the MP4 claims {samples} samples, the limit is {limits.max_samples}")
    return samples


def whole_siblings(rest: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """As `siblings`, up to the first box that is not whole: behind a sample entry's own boxes may come anything."""
    try:
        yield from siblings(rest)
    except BadMedia:
        return
