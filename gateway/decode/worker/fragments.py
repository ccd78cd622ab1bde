"""A fragmented MP4 that goes on for days, cut into stretches that can each be opened on their own.

FFmpeg keeps an entry of about 50 bytes for every sample that it has read of an MP4 (a hundred megabytes a day at
25 frames a second). So it is given the index (moov) and some of the fragments, then the index again and the next ones.
"""

import struct

from gateway.decode.worker.mp4 import u32, whole_siblings
from gateway.decode.worker.reader import UploadReader

_STRETCH_INDEX_BYTES = 256 * 1024
"""Bytes of fragment headers (moof) after which a new stretch may begin; a sample has 4 to 16 of them."""
_PATIENCE = 4
"""A stretch that finds no key frame to end in front of is ended all the same when it is so many times too long."""
_MAX_HEADER_BYTES = 1 << 20
_IS_NO_KEY_FRAME = 0x00010000
_ENDLESS_BYTES = 1 << 62


class Fragments:
    """Reads stretches one after the other; each seems to be a whole file, and ends."""

    def __init__(self, upload: UploadReader, stretch_index_bytes: int = _STRETCH_INDEX_BYTES) -> None:
        self._upload = upload
        self._stretch_index_bytes = stretch_index_bytes
        self._index = bytearray()
        """Everything in front of the first fragment."""
        self._replay = b""
        self._has_fragments = False
        self._left_bytes = 0
        """Of the present box."""
        self._headers_bytes = 0
        self._is_between = False

    def next_stretch(self) -> bool:
        """False if the upload has ended; else the next stretch can be read."""
        self._headers_bytes = 0
        self._is_between = False
        if self._has_fragments:
            self._replay = bytes(self._index)
        return bool(self._upload.peek(1))

    def read(self, size: int) -> bytes:
        """From 1 to `size` bytes; b"" at the end of the stretch."""
        if self._replay:
            data, self._replay = self._replay[:size], self._replay[size:]
            return data
        if not self._left_bytes:
            self._begin_box()
        if self._is_between:
            return b""
        data = self._upload.read(min(size, self._left_bytes))
        self._left_bytes -= len(data)
        if not self._has_fragments:
            self._index += data
        return data

    def _begin_box(self) -> None:
        head = self._upload.peek(16)
        if len(head) < 8:
            self._left_bytes = _ENDLESS_BYTES
            return
        size, kind = struct.unpack_from(">I4s", head)
        if size == 1 and len(head) == 16:
            size = int.from_bytes(head[8:], "big")
        if kind == b"moof":
            self._has_fragments = True
            if self._ends_before(size):
                self._is_between = True
                return
            self._headers_bytes += size
        self._left_bytes = size if size >= 8 else _ENDLESS_BYTES

    def _ends_before(self, size: int) -> bool:
        """Whether a new stretch begins with this fragment."""
        if self._headers_bytes < self._stretch_index_bytes or size > _MAX_HEADER_BYTES:
            return False
        is_overdue = self._headers_bytes >= _PATIENCE * self._stretch_index_bytes
        return is_overdue or begins_with_key_frames(self._upload.peek(size))


def begins_with_key_frames(moof: bytes) -> bool:
    """Whether the first sample of every track of the fragment can be decoded on its own."""
    tracks = (traf for kind, traf in whole_siblings(memoryview(moof)[8:]) if kind == b"traf")
    return all(_first_flags(dict(whole_siblings(traf))) & _IS_NO_KEY_FRAME == 0 for traf in tracks)


def _first_flags(boxes: dict[bytes, memoryview]) -> int:
    """Flags of the track's first sample (ISO 14496-12, 8.8.7 and 8.8.8); 0, a key frame, where it is not said."""
    run, header = boxes.get(b"trun", memoryview(b"")), boxes.get(b"tfhd", memoryview(b""))
    run_flags, header_flags = u32(run, 0), u32(header, 0)
    at = 8 + 4 * bool(run_flags & 0x1)
    if run_flags & 0x4:
        return u32(run, at)
    if run_flags & 0x400:
        return u32(run, at + 4 * bool(run_flags & 0x100) + 4 * bool(run_flags & 0x200))
    if header_flags & 0x20:
        widths = ((0x1, 8), (0x2, 4), (0x8, 4), (0x10, 4))
        return u32(header, 8 + sum(width for flag, width in widths if header_flags & flag))
    return 0
