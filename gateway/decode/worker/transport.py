"""Packets of MPEG-TS and MPEG-PS that say themselves that they are encrypted."""

_TS_SYNC = 0x47
_TS_TABLES_BELOW_PID = 0x20
_TS_NO_PAYLOAD_PID = 0x1FFF
_PES_PICTURE = b"\0\0\1\xe0"
_SHARE = 0.5
"""Of the packets that could be encrypted: damage sets the same bits here and there."""
_LEAST_PACKETS = 8


def is_scrambled(container: str, head: bytes) -> bool:
    """Whether most of what the first bytes carry needs a key (`transport_scrambling_control`, ISO/IEC 13818-1)."""
    marks = {"mpegts": _of_ts, "mpegps": _of_ps}.get(container, lambda _: [])(head)
    return len(marks) >= _LEAST_PACKETS and sum(marks) > _SHARE * len(marks)


def _of_ts(head: bytes) -> list[bool]:
    return max((_of_packets(head, size) for size in (188, 192, 204)), key=len)


def _of_packets(head: bytes, packet_bytes: int) -> list[bool]:
    """Whether each packet that carries sound or picture is scrambled; of the offset at which packets are found."""
    offset = next(
        (
            at
            for at in range(packet_bytes)
            if len(starts := head[at::packet_bytes]) > _LEAST_PACKETS and set(starts[:_LEAST_PACKETS]) == {_TS_SYNC}
        ),
        len(head),
    )
    marks = []
    for at in range(offset, len(head) - 4, packet_bytes):
        pid = (head[at + 1] & 0x1F) << 8 | head[at + 2]
        has_payload = head[at + 3] & 0x10
        if head[at] == _TS_SYNC and has_payload and _TS_TABLES_BELOW_PID <= pid < _TS_NO_PAYLOAD_PID:
            marks.append(bool(head[at + 3] & 0xC0))
    return marks


def _of_ps(head: bytes) -> list[bool]:
    """Of the pieces of the picture; a DVD's are scrambled piece by piece."""
    marks, at = [], head.find(_PES_PICTURE)
    while 0 <= at < len(head) - 7:
        marks.append(head[at + 6] & 0xF0 in (0x90, 0xA0, 0xB0))  # '10', then the two bits of scrambling
        at = head.find(_PES_PICTURE, at + 6)
    return marks
