"""A camera on loopback that speaks RTSP 1.0 with its pictures interleaved, as much of it as FFmpeg asks for."""

import asyncio
import re
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache

import av
import numpy as np

_SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n"
)
_LARGEST_UNIT_BYTES = 60_000


@cache
def units(frames: int) -> list[tuple[int, list[bytes]]]:
    """Time in ticks of 1/90,000 s and the H.264 units of each picture; ten pictures a second."""
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 96, 64, "yuv420p", Fraction(1, 10)
    codec.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "10"}
    packets = []
    for index in [*range(frames), None]:
        frame = None
        if index is not None:
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 40 + index, np.uint8), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 10)
        packets += codec.encode(frame)
    return [(packet.pts * 9000, [u for u in re.split(rb"\0\0\0?\x01", bytes(packet)) if u]) for packet in packets]


@dataclass
class Camera:
    """One that runs."""

    port: int = 0
    asked: list[str] = field(default_factory=list)
    """First lines of the requests."""


@asynccontextmanager
async def camera(frames: int = 60, redirect: str = "") -> AsyncIterator[Camera]:
    """Sends so many pictures and hangs up; or redirects."""
    running = Camera()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                running.asked.append(head.splitlines()[0])
                method = head.split()[0]
                number = re.search(r"(?i)cseq: *(\d+)", head)
                writer.write(_answer(method, number[1] if number else "0", redirect))
                await writer.drain()
                if method == "PLAY":
                    await _play(writer, frames)
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    running.port = server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        server.close()


def _answer(method: str, number: str, redirect: str) -> bytes:
    if method == "DESCRIBE" and redirect:
        return f"RTSP/1.0 302 Moved\r\nCSeq: {number}\r\nLocation: {redirect}\r\n\r\n".encode()
    extra = {
        "OPTIONS": "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n",
        "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(_SDP)}\r\n",
        "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n",
        "PLAY": "Session: 1\r\n",
    }.get(method, "")
    body = _SDP if method == "DESCRIBE" else ""
    return f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\n{extra}\r\n{body}".encode()


async def _play(writer: asyncio.StreamWriter, frames: int) -> None:
    sequence = 0
    for ticks, picture in units(frames):
        for unit in picture:
            assert len(unit) < _LARGEST_UNIT_BYTES
            is_last = unit is picture[-1]
            packet = struct.pack(">BBHII", 0x80, 96 | (0x80 if is_last else 0), sequence & 0xFFFF, ticks, 1) + unit
            writer.write(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
            sequence += 1
        await writer.drain()
        await asyncio.sleep(0.005)
