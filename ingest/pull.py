"""A playlist (HLS) or a camera (RTSP) becomes one endless MPEG-TS: remuxed, never decoded."""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack, aclosing, suppress
from typing import Any, TypeVar

import av
from av.container import InputContainer, OutputContainer

from assay.errors import AssayError, UriFailed, UriUnreachable
from assay.web import Web
from ingest.rtsp import Tunnel

# The playlist's own demuxer and those of its segments. FFmpeg checks the protocols before it asks us for a file.
_HLS = {"format_whitelist": "hls,mpegts,mov", "protocol_whitelist": "https,http", "http_persistent": "0"}
_RTSP = {"format_whitelist": "rtsp,sdp,rtp", "protocol_whitelist": "rtsp,tcp", "rtsp_transport": "tcp"}
_OPEN_SECONDS, _SILENT_SECONDS = 20.0, 30.0
_WAITING_PIECES = 16

log = logging.getLogger(__name__)
T = TypeVar("T")
Put = Callable[[bytes | Exception | None], None]


class Stopped(Exception):
    """Nobody reads any more."""


class _Written:
    """What FFmpeg writes MPEG-TS to, without a seek."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


class _Playlist:
    """Opens files for FFmpeg, which runs on a thread of its own; the connections belong to the event loop.

    FFmpeg opens nothing by itself. It names an address, here the rules are asked, and it gets an object with `read`.
    """

    def __init__(self, source: str, web: Web, max_file_bytes: int) -> None:
        self._source, self._web, self._max_file_bytes = source, web, max_file_bytes
        self._loop = asyncio.get_running_loop()
        self._opened: list[PulledFile] = []
        self.failure: AssayError | None = None
        """Why the latest file that failed did, in our words: FFmpeg goes on with the next, or says what it likes."""
        self._is_over = False

    def media(self) -> InputContainer:
        return av.open(self._source, format="hls", options=_HLS, io_open=self.open, metadata_errors="replace")

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

    def __init__(self, files: _Playlist, chunks: AsyncGenerator[bytes, None]) -> None:
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


class _Camera(Tunnel):
    def media(self) -> InputContainer:
        seconds = (_OPEN_SECONDS, _SILENT_SECONDS)
        return av.open(self.uri, format="rtsp", options=_RTSP, metadata_errors="replace", timeout=seconds)

    def close(self) -> None:
        """The event loop's side does, when the stream ends."""


Origin = _Playlist | _Camera
"""Where a stream comes from. `media` opens it and `close` lets go of it, on the thread that remuxes; `end` ends the
wait for it; `failure` says why it, or a part of it, could not be fetched, in our words."""


async def pulled(source: str, web: Web, max_file_bytes: int) -> AsyncGenerator[bytes, None]:
    """MPEG-TS with the first video track, for as long as it goes on; who reads it slowly slows it down.

    Raises UriRefused, UriFailed, UriUnreachable, OverLimit.
    """
    place = web.rules.place(source)
    async with AsyncExitStack() as stack:
        if place.scheme == "rtsp":
            camera = _Camera(place, web.rules, web.resolve, web.limits.connect_seconds)
            await stack.enter_async_context(camera.listening())
            origin: Origin = camera
        else:
            origin = _Playlist(source, web, max_file_bytes)
        async with aclosing(_remuxed(origin)) as pieces:
            async for piece in pieces:
                yield piece


async def _remuxed(origin: Origin) -> AsyncGenerator[bytes, None]:
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(_WAITING_PIECES)
    stop = threading.Event()

    def put(piece: bytes | Exception | None) -> None:
        if stop.is_set():
            raise Stopped
        asyncio.run_coroutine_threadsafe(pieces.put(piece), loop).result()

    def work() -> None:
        end: Exception | None = None
        try:
            if not remux(origin, put):
                end = origin.failure or UriFailed("the stream ended without a picture", field="uri")
        except Stopped:
            return
        except Exception as problem:  # noqa: BLE001 - FFmpeg's errors come as OSError, IndexError, …; it crosses the thread
            end = origin.failure or (problem if isinstance(problem, AssayError) else _unreadable(problem))
        finally:
            origin.close()
        with suppress(Stopped):
            put(end)

    thread = asyncio.create_task(asyncio.to_thread(work), name="remux")
    try:
        while piece := await pieces.get():
            if isinstance(piece, Exception):
                raise piece
            yield piece
    finally:
        stop.set()
        origin.end()
        while not thread.done():  # it may wait for a place in the queue
            while not pieces.empty():
                pieces.get_nowait()
            await asyncio.wait([thread], timeout=0.05)


def _unreadable(problem: Exception) -> UriFailed:
    return UriFailed(f"the stream or a part of it cannot be read ({type(problem).__name__})", field="uri")


def remux(origin: Origin, put: Put) -> int:
    """Runs on a thread until the stream ends; how many pictures came."""
    written = _Written()
    with (
        origin.media() as media,
        av.open(written, "w", format="mpegts", options={"mpegts_copyts": "1"}) as out,
    ):
        pictures = _copy(media, out, written, put)
    if rest := written.taken():
        put(rest)
    return pictures


def _copy(media: InputContainer, out: OutputContainer, written: _Written, put: Put) -> int:
    if not media.streams.video:
        raise UriFailed("the stream has no video", field="uri")
    video = media.streams.video[0]
    copy, pictures = out.add_stream_from_template(video), 0
    for packet in media.demux(video):
        if packet.dts is None:
            continue
        packet.stream = copy
        out.mux(packet)
        pictures += 1
        if piece := written.taken():
            put(piece)
    return pictures
