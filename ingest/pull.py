"""A playlist (HLS) becomes one endless MPEG-TS: remuxed, never decoded."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from typing import Any

import av
from av.container import InputContainer, OutputContainer

from assay.errors import AssayError, UriFailed
from assay.web import Web
from ingest.files import Files

# The playlist's own demuxer and those of its segments. FFmpeg checks the protocols before it asks us for a file.
_INPUT = {"format_whitelist": "hls,mpegts,mov", "protocol_whitelist": "https,http", "http_persistent": "0"}
_WAITING_PIECES = 16


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


async def pulled(source: str, web: Web, max_file_bytes: int) -> AsyncGenerator[bytes, None]:
    """MPEG-TS with the first video track, for as long as the playlist goes on; who reads it slowly slows it down.

    Raises UriRefused, UriFailed, UriUnreachable, OverLimit.
    """
    web.rules.place(source)
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(_WAITING_PIECES)
    files, stop = Files(web, max_file_bytes, loop), threading.Event()

    def put(piece: bytes | Exception | None) -> None:
        if stop.is_set():
            raise Stopped
        asyncio.run_coroutine_threadsafe(pieces.put(piece), loop).result()

    def work() -> None:
        end: Exception | None = None
        try:
            if not remux(source, files, put):
                end = files.failure or UriFailed("the playlist ended without a picture", field="uri")
        except Stopped:
            return
        except Exception as problem:  # noqa: BLE001 - FFmpeg's errors come as OSError, IndexError, …; it crosses the thread
            end = files.failure or (problem if isinstance(problem, AssayError) else _unreadable(problem))
        finally:
            files.close()
        put(end)

    thread = asyncio.create_task(asyncio.to_thread(work), name="remux")
    try:
        while piece := await pieces.get():
            if isinstance(piece, Exception):
                raise piece
            yield piece
    finally:
        stop.set()
        while not thread.done():  # it may wait for a place in the queue
            while not pieces.empty():
                pieces.get_nowait()
            await asyncio.wait([thread], timeout=0.05)


def _unreadable(problem: Exception) -> UriFailed:
    return UriFailed(f"the playlist or one of its segments cannot be read ({type(problem).__name__})", field="uri")


def remux(source: str, files: Files, put: Any) -> int:
    """Runs on a thread until the playlist ends; how many pictures came."""
    written = _Written()
    with (
        av.open(source, format="hls", options=_INPUT, io_open=files.open, metadata_errors="replace") as media,
        av.open(written, "w", format="mpegts", options={"mpegts_copyts": "1"}) as out,
    ):
        pictures = _copy(media, out, written, put)
    if rest := written.taken():
        put(rest)
    return pictures


def _copy(media: InputContainer, out: OutputContainer, written: _Written, put: Any) -> int:
    if not media.streams.video:
        raise UriFailed("the playlist has no video", field="uri")
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
