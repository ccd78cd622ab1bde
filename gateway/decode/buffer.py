"""Bytes of an upload between its client and a decode worker: in memory first, then in a sealed file of stated size.

They are held from the first one on, so that the worker can be taken back and the decode begun anew, until the upload is
larger than what may be held of it; then they pass through, and the worker stays with them.
"""

import fcntl
import os

_SEALS = fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


class SpoolBudget:
    """Bytes that the sealed files of all uploads may hold together."""

    def __init__(self, max_bytes: int) -> None:
        self.left_bytes = max_bytes


class UploadBuffer:
    """Bytes in order of arrival, read by their position."""

    def __init__(self, budget: SpoolBudget, memory_bytes: int, file_bytes: int) -> None:
        """The first `memory_bytes` are held in memory, up to `file_bytes` more in the file."""
        self._budget = budget
        self._memory_bytes = memory_bytes
        self._file_bytes = file_bytes
        self._head = bytearray()
        self._file = -1
        self._in_file_bytes = 0
        self._tail = bytearray()
        """Bytes that are dropped once they were read."""
        self.size = 0
        """Bytes that have arrived."""
        self.has_ended = False
        self.is_whole = True
        """Every byte from the first on can still be read."""

    def can_keep(self, size: int) -> bool:
        """Whether so many more bytes could be held."""
        if self._tail or not self.is_whole:
            return False
        if self._fits_in_memory(size):
            return True
        return size <= min(self._file_bytes - self._in_file_bytes, self._budget.left_bytes)

    def append(self, piece: bytes) -> None:
        """The next bytes; those that cannot be held wait in memory until they are read."""
        keeps = self.can_keep(len(piece))
        self.size += len(piece)
        if not keeps:
            self._tail += piece
        elif self._fits_in_memory(len(piece)):
            self._head += piece
        else:
            self._write(piece)

    def _fits_in_memory(self, size: int) -> bool:
        return not self._in_file_bytes and len(self._head) + size <= self._memory_bytes

    def _write(self, piece: bytes) -> None:
        if self._file < 0:
            self._file = os.memfd_create("upload", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            os.ftruncate(self._file, self._file_bytes)
            fcntl.fcntl(self._file, fcntl.F_ADD_SEALS, _SEALS)
        self._budget.left_bytes -= len(piece)
        with memoryview(piece) as rest:
            while rest:
                written = os.pwrite(self._file, rest, self._in_file_bytes)
                self._in_file_bytes += written
                rest = rest[written:]

    def read(self, position: int, size: int) -> bytes:
        """Up to `size` bytes from `position` on, none where nothing has arrived yet.

        Raises `ValueError` for bytes that were let go.
        """
        whole_bytes = len(self._head) + self._in_file_bytes
        if self.is_whole and position < len(self._head):
            return bytes(self._head[position : position + size])
        if self.is_whole and position < whole_bytes:
            at = position - len(self._head)
            return os.pread(self._file, min(size, self._in_file_bytes - at), at)
        if position != self.size - len(self._tail):
            raise ValueError(f"the bytes at {position} of {self.size} were let go")
        data = bytes(self._tail[:size])
        if data:
            del self._tail[:size]
            self._let_go()
        return data

    def _let_go(self) -> None:
        self.is_whole = False
        self._head.clear()
        self._budget.left_bytes += self._in_file_bytes
        self._in_file_bytes = 0
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def close(self) -> None:
        """Nothing will be read any more."""
        self._tail.clear()
        self._let_go()
