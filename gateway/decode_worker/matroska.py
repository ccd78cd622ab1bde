"""How long a Matroska or WebM file says that it is; live recordings do not say."""

_EBML_HEADER = 0x1A45DFA3
_SEGMENT = 0x18538067
HEAD_BYTES = 4096


def declared_bytes(head: bytes) -> int:
    """End of the Segment according to its own header, in bytes from the start of the file; 0 if it does not say."""
    at = 0
    for expected in (_EBML_HEADER, _SEGMENT):
        identity, at = _number(head, at, keeps_marker=True)
        size, at = _number(head, at, keeps_marker=False)
        if identity != expected or size < 0:
            return 0
        at += size
    return at


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
