"""RTSP through a tunnel of ours: FFmpeg connects to this machine alone, and every message that passes is checked.

FFmpeg would resolve the camera's name itself and follow a redirect to wherever it leads. So it is given an address on
loopback; the tunnel dials the address that was checked and lets no redirect through. Pictures come interleaved with the
conversation over this one connection (no UDP).
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from assay.errors import AssayError, UriRefused, UriUnreachable
from assay.web.get import Resolve, checked_addresses
from assay.web.rules import Place, WebRules

_INTERLEAVED = b"$"
_MAX_HEAD_BYTES = 64 * 1024
_MAX_BODY_BYTES = 1 << 20
_LENGTH = re.compile(rb"(?i)\r\ncontent-length:[ \t]*(\d{1,7})[ \t]*\r\n")


class Tunnel:
    """One conversation between FFmpeg and a camera."""

    def __init__(self, place: Place, rules: WebRules, resolve: Resolve, connect_seconds: float) -> None:
        self._place = place
        self._rules = rules
        self._resolve = resolve
        self._connect_seconds = connect_seconds
        self._port = 0
        self._talks: set[asyncio.Task[None]] = set()
        self.failure: AssayError | None = None
        """Why it was ended from here."""

    @property
    def uri(self) -> str:
        """What FFmpeg is given."""
        return f"{self._here}{self._place.target}"

    @property
    def _here(self) -> str:
        return f"rtsp://127.0.0.1:{self._port}"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Takes FFmpeg's connection for the length of the block."""
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0, limit=_MAX_HEAD_BYTES)
        self._port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            self.end()

    def end(self) -> None:
        """Breaks the conversation off, so that FFmpeg stops waiting for the camera."""
        for talk in self._talks:
            talk.cancel()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk is not None
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)
        camera: asyncio.StreamWriter | None = None
        try:
            from_camera, camera = await self._dialled()
            asking = asyncio.create_task(self._pass_requests(reader, camera))
            try:
                await self._pass_answers(from_camera, writer)
            finally:
                asking.cancel()
        except AssayError as failed:
            self.failure = failed
        except (OSError, EOFError, asyncio.LimitOverrunError):
            self.failure = self.failure or UriUnreachable(f"{self._place.origin} broke off; try again", field="uri")
        finally:
            for each in (writer, camera):
                if each:
                    each.close()

    async def _dialled(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        place = self._place
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._connect_seconds):
                for address in await checked_addresses(self._rules, self._resolve, place.host, place.port):
                    with suppress(ConnectionError):
                        return await asyncio.open_connection(address, place.port, limit=_MAX_HEAD_BYTES)
        raise UriUnreachable(f"{place.origin} cannot be reached; check the address, or try again", field="uri")

    async def _pass_requests(self, reader: asyncio.StreamReader, camera: asyncio.StreamWriter) -> None:
        """What FFmpeg asks, in the camera's own name."""
        while data := await reader.read(_MAX_HEAD_BYTES):
            camera.write(data.replace(self._here.encode(), self._place.origin.encode()))
            await camera.drain()

    async def _pass_answers(self, from_camera: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pictures as they are; messages once they have been checked."""
        while first := await from_camera.read(1):
            if first == _INTERLEAVED:
                head = await from_camera.readexactly(3)
                message = first + head + await from_camera.readexactly(int.from_bytes(head[1:], "big"))
            else:
                head = first + await from_camera.readuntil(b"\r\n\r\n")
                self._check(head)
                length = _LENGTH.search(head)
                message = head + await from_camera.readexactly(min(int(length[1]) if length else 0, _MAX_BODY_BYTES))
            writer.write(message)
            await writer.drain()

    def _check(self, head: bytes) -> None:
        """UriRefused for a message that sends FFmpeg elsewhere."""
        if re.match(rb"RTSP/\S+[ \t]+3|REDIRECT\b", head.lstrip()):
            raise UriRefused(f"{self._place.origin} redirects elsewhere, which is not followed for RTSP", field="uri")
