"""MPEG-TS files put one behind the other: the picture of every part gets the number (PID) that the first one gave it.

FFmpeg takes the tables of another recorder for another programme, whose picture nobody asked for.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SYNC = 0x47
_PACKET_BYTES = (188, 192, 204)
_PAT_PID = 0
_NULL_PID = 0x1FFF
_SYNCS = 5
"""So many packets in a row make an offset believable."""
_WINDOW_BYTES = 204 * (_SYNCS + 1)
_PICTURE_TYPES = frozenset({0x01, 0x02, 0x10, 0x1B, 0x24})
"""MPEG-1, MPEG-2, MPEG-4, H.264 and HEVC (ISO/IEC 13818-1, table 2-34)."""
_MAX_SECTION_BYTES = 1024
_BITS_TURNED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

Numbers = NDArray[np.integer[Any]]
Pictures = list[tuple[int, int]]
"""Type and PID of each picture of the tables, in their order."""


@dataclass(slots=True)
class _Tables:
    """What one part says of itself: programme number to PID of its map, and what the maps that came name."""

    maps: dict[int, int]
    by_map: dict[int, Pictures] = field(default_factory=dict)

    @property
    def pictures(self) -> Pictures:
        return [picture for pid in self.maps.values() for picture in self.by_map.get(pid, ())]


class Splice:
    """Reads whole packets from `read`; those of a later part are renumbered, its other packets made padding."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._source = read
        self._buffer = bytearray()
        self._packet_bytes = 0
        self._ready = bytearray()
        self._sections: dict[int, bytearray] = {}
        self._is_table = _marked([_PAT_PID])
        self._first: _Tables | None = None
        self._part: _Tables | None = None
        """Of the part that is being read; None before its tables."""
        self._pids: Numbers | None = None
        """PID -> PID of a later part."""
        self._has_ended = False
        self.unlike_first = False
        """A part has a picture of another codec than the first one, and was left out."""

    def read(self, size: int) -> bytes:
        """From 1 to `size` bytes; b"" at the end."""
        while not self._ready and not self._has_ended:
            data = self._source(max(size, _WINDOW_BYTES))
            self._has_ended = not data
            self._buffer += data
            self._take_packets()
        data = bytes(self._ready[:size])
        del self._ready[:size]
        return data

    def _take_packets(self) -> None:
        while not self._packet_bytes and len(self._buffer) >= _WINDOW_BYTES:
            self._find_sync()
        if self._has_ended:
            self._pass_on(len(self._buffer) - len(self._buffer) % (self._packet_bytes or 1))
            self._ready += self._buffer
            self._buffer.clear()
        elif self._packet_bytes:
            self._pass_on(len(self._buffer) - len(self._buffer) % self._packet_bytes)

    def _find_sync(self) -> None:
        """Leaves out what stands in front of the first packet, or of where one may begin."""
        window = self._buffer[:_WINDOW_BYTES]
        for offset in range(_PACKET_BYTES[-1]):
            for size in _PACKET_BYTES:
                if set(window[offset::size][:_SYNCS]) == {_SYNC}:
                    self._packet_bytes = size
                    del self._buffer[:offset]
                    return
        del self._buffer[: _PACKET_BYTES[0]]

    def _pass_on(self, size: int) -> None:
        """The first `size` bytes of the buffer, whole packets as far as they are in step."""
        if not self._packet_bytes or not size:
            return
        packets = np.frombuffer(self._buffer[:size], np.uint8).reshape(-1, self._packet_bytes)
        stray = np.flatnonzero(packets[:, 0] != _SYNC)
        in_step = int(stray[0]) if len(stray) else len(packets)
        self._ready += self._renumbered(packets[:in_step])
        del self._buffer[: in_step * self._packet_bytes]
        if len(stray):
            self._packet_bytes = 0

    def _renumbered(self, packets: NDArray[np.uint8]) -> bytes:
        pids = np.ascontiguousarray(packets[:, 1:3]).view(">u2")[:, 0] & 0x1FFF
        until: list[tuple[int, Numbers | None]] = []
        at = 0
        while at < len(pids):
            before = self._pids
            at = self._read_tables(packets, pids, at)
            if self._pids is not before:
                until.append((at - 1, before))
        if not until and self._pids is None:
            return packets.tobytes()
        return self._rewritten(packets, pids, [*until, (len(packets), self._pids)])

    def _read_tables(self, packets: NDArray[np.uint8], pids: Numbers, start: int) -> int:
        """Reads on from packet `start` until something has changed: the number of the packet behind that."""
        before, part = self._pids, self._part
        for index in start + np.flatnonzero(self._is_table[pids[start:]]):
            self._read_table(int(pids[index]), packets[index].tobytes()[:188])
            if self._pids is not before or self._part is not part:
                return int(index) + 1
        return len(pids)

    def _rewritten(self, packets: NDArray[np.uint8], pids: Numbers, until: list[tuple[int, Numbers | None]]) -> bytes:
        """`until`: up to which packet which numbers hold."""
        packets, begin = packets.copy(), 0
        for end, numbers in until:
            if numbers is not None:
                renumbered = numbers[pids[begin:end]]
                packets[begin:end, 1] = packets[begin:end, 1] & 0xE0 | (renumbered >> 8).astype(np.uint8)
                packets[begin:end, 2] = renumbered & 0xFF
            begin = end
        return packets.tobytes()

    def _read_table(self, pid: int, packet: bytes) -> None:
        section = self._section(pid, packet)
        if section is None:
            return
        if pid == _PAT_PID and section[0] == 0x00:
            self._begin_part(_maps(section))
        elif pid != _PAT_PID and section[0] == 0x02 and self._part is not None:
            self._read_map(self._part, pid, _pictures(section))

    def _read_map(self, part: _Tables, pid: int, pictures: Pictures) -> None:
        """A map that names other pictures than before begins a part, too."""
        known = part.by_map.get(pid)
        if known == pictures:
            return
        changed = _Tables(part.maps, {**part.by_map, pid: pictures})
        if not known:
            part.by_map[pid] = pictures
        elif changed == self._first:
            self._part, self._pids = self._first, None
        else:
            self._part = changed
        self._renumber()

    def _begin_part(self, maps: dict[int, int]) -> None:
        if not maps or (self._part is not None and maps == self._part.maps):
            return
        self._is_table = _marked([_PAT_PID, *maps.values()])
        if self._first is not None and self._first.pictures and maps == self._first.maps:
            self._part, self._pids = self._first, None
            return
        self._part = _Tables(maps)
        if self._first is None or not self._first.pictures:
            self._first = self._part
        else:
            self._pids = np.full(_NULL_PID + 1, _NULL_PID, np.uint16)

    def _renumber(self) -> None:
        """The pictures of a later part get the numbers of those of the first one that they stand for."""
        if self._first is None or self._part is None or self._part is self._first:
            return
        numbers = np.full(_NULL_PID + 1, _NULL_PID, np.uint16)
        for (kind, pid), (first_kind, first_pid) in zip(self._part.pictures, self._first.pictures, strict=False):
            if kind == first_kind:
                numbers[pid] = first_pid
            else:
                self.unlike_first = True
        self._pids = numbers

    def _section(self, pid: int, packet: bytes) -> bytes | None:
        """The table that ends with this packet; a table may need several."""
        payload = packet[4 + (1 + packet[4] if packet[3] & 0x20 else 0) :] if packet[3] & 0x10 else b""
        if packet[1] & 0x40 and payload:
            self._sections[pid] = bytearray(payload[1 + payload[0] :])
        elif pid in self._sections:
            self._sections[pid] += payload
        section = self._sections.get(pid, b"")
        size = 3 + (int.from_bytes(section[1:3], "big") & 0xFFF) if len(section) >= 3 else _MAX_SECTION_BYTES
        if len(section) < size:
            return None
        whole = bytes(self._sections.pop(pid)[:size])
        return whole if size >= 12 and _is_sound(whole) else None


def _is_sound(section: bytes) -> bool:
    """Its checksum is right (CRC-32/MPEG-2: that of zlib with the bits of every byte turned round)."""
    return zlib.crc32(section.translate(_BITS_TURNED)) == 0xFFFFFFFF


def _marked(pids: list[int]) -> NDArray[np.bool_]:
    marks = np.zeros(_NULL_PID + 1, np.bool_)
    marks[pids] = True
    return marks


def _maps(section: bytes) -> dict[int, int]:
    """ISO/IEC 13818-1, 2.4.4.3; programme 0 is the network's."""
    rows = [section[at : at + 4] for at in range(8, len(section) - 7, 4)]
    numbers = [(int.from_bytes(row[:2], "big"), int.from_bytes(row[2:], "big") & 0x1FFF) for row in rows]
    return {programme: pid for programme, pid in numbers if programme}


def _pictures(section: bytes) -> Pictures:
    """ISO/IEC 13818-1, 2.4.4.8."""
    found, at = [], 12 + (int.from_bytes(section[10:12], "big") & 0xFFF)
    while at + 5 <= len(section) - 4:
        kind, pid = section[at], int.from_bytes(section[at + 1 : at + 3], "big") & 0x1FFF
        if kind in _PICTURE_TYPES:
            found.append((kind, pid))
        at += 5 + (int.from_bytes(section[at + 3 : at + 5], "big") & 0xFFF)
    return found
