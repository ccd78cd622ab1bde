"""What FFmpeg reads while it follows a playlist: every file is asked for by us, over connections that are checked.

FFmpeg opens nothing by itself. It names an address, here the rules are asked, and it gets an object with `read`.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, TypeVar

from assay.errors import AssayError, UriFailed, UriUnreachable
from assay.web import Web

T = TypeVar("T")
log = logging.getLogger(__name__)


class Files:
    """Opens files for FFmpeg, which runs on a thread of its own; the connections belong to the event loop."""

    def __init__(self, web: Web, max_file_bytes: int, loop: asyncio.AbstractEventLoop) -> None:
        self._web = web
        self._max_file_bytes = max_file_bytes
        self._loop = loop
        self._opened: list[PulledFile] = []
        self.failure: AssayError | None = None
        """Why the latest file that failed did, in our words: FFmpeg goes on with the next, or says what it likes."""
        self._is_over = False

    def open(self, url: str, flags: int, options: dict[str, str]) -> "PulledFile":
        """As PyAV's `io_open`. Refusals are stored in `failure` and raised."""
        if self._is_over:
            raise UriFailed("nobody reads this stream any more", field="uri")
        try:
            if "end_offset" in options or options.get("offset", "0") != "0":
                raise UriFailed("the playlist names parts of files (EXT-X-BYTERANGE), which are not taken", field="uri")
            self._web.rules.place(url)
        except AssayError as refused:
            self._note(refused)
            raise
        for file in self._opened:
            if file.has_ended:
                file.close()
        self._opened = [file for file in self._opened if not file.has_ended]
        file = PulledFile(self, self._web.get(url, self._max_file_bytes))
        self._opened.append(file)
        return file

    def end(self) -> None:
        """Nothing more is opened: FFmpeg would read a playlist that stands still a thousand times, and no picture would
        come by which to stop it."""
        self._is_over = True

    def close(self) -> None:
        """Lets go of every connection."""
        for file in self._opened:
            file.close()
        self._opened.clear()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """The outcome of something that runs on the event loop; called from FFmpeg's thread."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        except AssayError as failed:
            self._note(failed)
            raise

    def _note(self, failure: AssayError) -> None:
        # FFmpeg goes on with the next segment, so this may be all that is ever said of it.
        log.warning("a file of the playlist is left out: %s", failure.message)
        self.failure = failure


class PulledFile:
    """One file. It has no name, seek or write, so PyAV finds none."""

    def __init__(self, files: Files, chunks: AsyncGenerator[bytes, None]) -> None:
        self._files = files
        self._chunks = chunks
        self._ahead = b""
        self.has_ended = False

    def read(self, size: int) -> bytes:
        """At most `size` bytes, as PyAV copies all that comes, whatever its length; b"" at the end."""
        if not self._ahead and not self.has_ended:
            try:
                self._ahead = self._files.wait(self._next())
            except (UriFailed, UriUnreachable):
                # Of a stream of days one segment is lost; an empty one is what FFmpeg passes over.
                self._ahead = b""
            self.has_ended = not self._ahead
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        return data

    def close(self) -> None:
        self.has_ended = True
        self._files.wait(self._chunks.aclose())

    async def _next(self) -> bytes:
        return await anext(self._chunks, b"")
