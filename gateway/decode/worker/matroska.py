"""Elements of Matroska and WebM (RFC 8794, 9559): how long a file says that it is, and what it says of its tracks."""

from collections.abc import Iterator

from gateway.decode.worker.mp4 import RangeReader

_EBML_HEADER = 0x1A45DFA3
_SEGMENT = 0x18538067
HEAD_BYTES = 4096
_TRACKS, _CLUSTER = 0x1654AE6B, 0x1F43B675
_LOOK_AHEAD_BYTES = 4 << 20
"""How far into a file its tracks are searched for."""
_MAX_ELEMENTS = 20_000
"""In front of the tracks."""

TRACK, TRACK_TYPE, VIDEO = 0xAE, 0x83, 0xE0
PICTURE = 1
WIDTH, HEIGHT = 0xB0, 0xBA
CROPS = (0x54CC, 0x54BB, 0x54DD, 0x54AA)
"""PixelCrop: left, top, right, bottom."""
INTERLACED, FIELD_ORDER = 0x9A, 0x9D
COLOUR, MATRIX, RANGE, CURVE, PRIMARIES = 0x55B0, 0x55B1, 0x55B9, 0x55BA, 0x55BB
_ENCODINGS, _ENCODING, _ENCODING_TYPE = 0x6D80, 0x6240, 0x5033
_ENCRYPTION = 1


def declared_bytes(head: bytes) -> int:
    """End of the Segment according to its own header, in bytes from the start of the file; 0 if it does not say."""
    start, size = _segment(head)
    return start + size if size >= 0 else 0


def tracks(read: RangeReader, size_bytes: int = 0) -> bytes:
    """Body of the Tracks element. Of a file that still arrives, nothing if it does not come before the first Cluster;
    of a whole one, which has `size_bytes`, wherever it is."""
    at, _ = _segment(read(0, HEAD_BYTES))
    for _ in range(_MAX_ELEMENTS if at else 0):
        head = read(at, 12)
        identity, body = _number(head, 0, keeps_marker=True)
        size, body = _number(head, body, keeps_marker=False)
        if identity == -1 or size < 0 or at + body + size > max(size_bytes, _LOOK_AHEAD_BYTES):
            break
        if identity == _TRACKS:
            return read(at + body, size)
        if identity == _CLUSTER and not size_bytes:
            break
        at += body + size
    return b""


def _segment(head: bytes) -> tuple[int, int]:
    """Where the body of the Segment begins, and its size; 0 if there is none, -1 if it does not say."""
    identity, at = _number(head, 0, keeps_marker=True)
    size, at = _number(head, at, keeps_marker=False)
    if identity != _EBML_HEADER or size < 0:
        return 0, -1
    identity, at = _number(head, at + size, keeps_marker=True)
    size, at = _number(head, at, keeps_marker=False)
    return (at, size) if identity == _SEGMENT else (0, -1)


def elements(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Identity and body of the elements of one level, as far as they are whole."""
    at = 0
    while at < len(body):
        identity, start = _number(body, at, keeps_marker=True)
        size, start = _number(body, start, keeps_marker=False)
        if identity < 0 or size < 0 or start + size > len(body):
            return
        yield identity, body[start : start + size]
        at = start + size


def number(body: bytes) -> int:
    """An unsigned integer."""
    return int.from_bytes(body[:8], "big")


def is_encrypted(track: dict[int, bytes]) -> bool:
    """Whether a track's frames need a key (ContentEncryption), as of WebM with a licence."""
    for identity, encoding in elements(track.get(_ENCODINGS, b"")):
        kind = dict(elements(encoding)).get(_ENCODING_TYPE, b"") if identity == _ENCODING else b""
        if number(kind) == _ENCRYPTION:
            return True
    return False


def _number(head: bytes, at: int, *, keeps_marker: bool) -> tuple[int, int]:
    """A variable-length integer and the place behind it (RFC 8794, section 4); -1 if unknown or not there."""
    if at >= len(head) or not head[at]:
        return -1, at
    length = 9 - head[at].bit_length()
    value = int.from_bytes(head[at : at + length], "big")
    mask = (1 << (7 * length)) - 1
    if not keeps_marker and value & mask == mask:
        return -1, at + length
    return (value if keeps_marker else value & mask), at + length
