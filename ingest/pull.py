"""A playlist (HLS) or a camera (RTSP) becomes one endless MPEG-TS: remuxed, never decoded."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing, suppress

import av
from av.container import InputContainer, OutputContainer

from assay.errors import AssayError, UriFailed
from assay.web import Web
from ingest.files import Files
from ingest.rtsp import Tunnel

# The playlist's own demuxer and those of its segments. FFmpeg checks the protocols before it asks us for a file.
_HLS = {"format_whitelist": "hls,mpegts,mov", "protocol_whitelist": "https,http", "http_persistent": "0"}
_RTSP = {"format_whitelist": "rtsp,sdp,rtp", "protocol_whitelist": "rtsp,tcp", "rtsp_transport": "tcp"}
_OPEN_SECONDS, _SILENT_SECONDS = 20.0, 30.0
_WAITING_PIECES = 16


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


class _Playlist(Files):
    def __init__(self, source: str, web: Web, max_file_bytes: int) -> None:
        super().__init__(web, max_file_bytes, asyncio.get_running_loop())
        self._source = source

    def media(self) -> InputContainer:
        return av.open(self._source, format="hls", options=_HLS, io_open=self.open, metadata_errors="replace")


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
