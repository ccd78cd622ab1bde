"""The bytes of an upload, and the only two file-like objects that FFmpeg ever gets to read them from."""

import mmap
from collections.abc import Callable

from assay.errors import OverLimit


class Abandoned(Exception):
    """The gateway does not want this job any more."""


class UploadReader:
    """Bytes in order of arrival; the beginning can be peeked at before it is read."""

    def __init__(
        self, next_chunk: Callable[[], bytes], max_bytes: int, obey: Callable[[], None] = lambda: None
    ) -> None:
        """`next_chunk` waits for bytes and returns b"" for ever after the last.

        `obey` raises `Abandoned` once the job is cancelled; code that works for long without bytes shall call it.
        """
        self._next_chunk = next_chunk
        self._max_bytes = max_bytes
        self.obey = obey
        self._ahead = bytearray()
        self._spool: SpooledFile | None = None
        self.bytes_arrived = 0
        self.ended = False

    def _fill(self) -> None:
        chunk = self._next_chunk()
        self.ended = not chunk
        self.bytes_arrived += len(chunk)
        if self.bytes_arrived > self._max_bytes:
            raise OverLimit(
                f"the file is larger than the limit of {self._max_bytes} bytes; send a smaller one",
                budget="max_video_bytes",
            )
        self._ahead += chunk

    def peek(self, size: int) -> bytes:
        """The next `size` bytes without consuming them; fewer only at the end of the upload."""
        while len(self._ahead) < size and not self.ended:
            self._fill()
        return bytes(self._ahead[:size])

    def at(self, start: int, size: int) -> bytes:
        """Up to `size` bytes from `start` on, counted from the next one, without consuming any."""
        while len(self._ahead) < start + size and not self.ended:
            self._fill()
        return bytes(self._ahead[start : start + size])

    def read(self, size: int) -> bytes:
        """From 1 to `size` bytes, b"" at the end; waits only if there is nothing at hand."""
        if not self._ahead and not self.ended:
            self._fill()
        with memoryview(self._ahead) as ahead:
            data = bytes(ahead[:size])
        del self._ahead[:size]
        return data

    def read_all(self) -> bytes:
        """Everything that is left, once the upload has ended."""
        while not self.ended:
            self._fill()
        data = bytes(self._ahead)
        self._ahead.clear()
        return data

    def spool(self) -> "SpooledFile":
        """Everything that is left, seekable, once the upload has ended."""
        # Anonymous memory and not a memfd: the worker may not write files (RLIMIT_FSIZE 0 holds for a memfd as well).
        # Only the pages that are written exist, and no growing buffer is ever copied.
        memory = mmap.mmap(-1, self._max_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        while chunk := self.read(1 << 20):
            memory.write(chunk)
        self._spool = SpooledFile(memory, memory.tell())
        return self._spool

    def free(self) -> None:
        """Give the memory back now: PyAV keeps its readers until the garbage collector finds them."""
        self._ahead.clear()
        if self._spool is not None:
            self._spool.free()


class BoundedReader:
    """What FFmpeg reads from when the bytes still arrive. It has no name, mode, seek or write, so PyAV finds none.

    PyAV 18.1 copies all that `read(n)` returns into a buffer of n bytes, whatever its length, so a reader
    that returns more overwrites the heap. This is the one place that makes sure it never does.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._has_failed = False

    def read(self, size: int) -> bytes:
        """At most `size` bytes; b"" at the end, and after an error: PyAV raises the first one where it was called."""
        # FFmpeg tries again after an error, and PyAV prints the traceback of all but the last.
        if size <= 0 or self._has_failed:
            return b""
        try:
            data = self._read(size)
        except BaseException:
            self._has_failed = True
            raise
        if not isinstance(data, bytes):
            raise TypeError(f"a source of bytes returned {type(data)}")
        if len(data) > size:
            raise ValueError(f"a source of bytes returned {len(data)} bytes, asked for {size}")
        return data


class Replay(BoundedReader):
    """Bytes that can be read again from the first one on, until that is settled."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        super().__init__(self._take)
        self._source = read
        self._replayed = bytearray()
        self._position = 0
        self._is_settled = False

    def rewind(self) -> None:
        """What comes next is the first byte."""
        self._position = 0

    def settle(self) -> None:
        """No rewind will follow."""
        self._is_settled = True

    def _take(self, size: int) -> bytes:
        if self._position < len(self._replayed):
            data = bytes(self._replayed[self._position : self._position + size])
            self._position += len(data)
            return data
        if self._is_settled:
            self._replayed.clear()
            self._position = 0
            return self._source(size)
        data = self._source(size)
        self._replayed += data
        self._position += len(data)
        return data


class SpooledFile(BoundedReader):
    """A whole file in memory, for what can only be read by seeking."""

    def __init__(self, memory: mmap.mmap | bytes, size: int) -> None:
        super().__init__(self._take)
        self._memory = memory
        self._view = memoryview(memory)[:size]
        self._position = 0

    def _take(self, size: int) -> bytes:
        data = bytes(self._view[self._position : self._position + size])
        self._position += len(data)
        return data

    def free(self) -> None:
        """Afterwards nothing can be read."""
        self._view.release()
        if isinstance(self._memory, mmap.mmap):
            self._memory.close()

    def __len__(self) -> int:
        return len(self._view)

    def at(self, start: int, size: int) -> bytes:
        """Up to `size` bytes from `start`, without moving."""
        return bytes(self._view[start : start + size])

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of a file; a position before the start is an error, one behind the end reads nothing."""
        base = {0: 0, 1: self._position, 2: len(self._view)}[whence]
        if base + offset < 0:
            raise ValueError(f"seek before the start of the file: {offset = } {whence = }")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position
