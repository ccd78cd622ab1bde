"""Body: what a client sends over HTTP, piece by piece, and the news that it has left."""

import asyncio
import ctypes
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import Request

from assay.errors import OverLimit, UploadStalled

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


_REUSED_BYTES = 16 << 20
_LARGE_BYTES = 2 << 20
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""


def reuse_memory() -> None:
    """What a chunk took serves the next one: to ask the kernel for it anew, five times as a chunk is handed on, is a
    third of the processor time of an upload. Files as a whole stay with the kernel. Nothing without mallopt (musl)."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, _REUSED_BYTES)
        mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)


class ClientGone(Exception):
    """The connection was closed before the body had ended."""


class Body:
    """Reads an ASGI request's body, at most so many bytes of it, none of them later than so many seconds apart."""

    def __init__(self, request: Request, max_bytes: int, idle_seconds: float) -> None:
        self._receive: Receive = request.receive
        self._declared_bytes = request.headers.get("content-length", "0")
        self._max_bytes = max_bytes
        self._idle_seconds = idle_seconds
        self._ended = asyncio.Event()
        self.received_bytes = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body. OverLimit, before the first byte where its length is declared; UploadStalled, ClientGone."""
        self._check(int(self._declared_bytes))
        while not self._ended.is_set():
            chunk = await self._next()
            self.received_bytes += len(chunk)
            self._check(self.received_bytes)
            if chunk:
                yield chunk

    def _check(self, num_bytes: int) -> None:
        if num_bytes > self._max_bytes:
            raise OverLimit(f"the body has more than {self._max_bytes} bytes; send a smaller file")

    async def whole(self) -> bytes:
        """The body in one piece; for small ones."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def client_gone(self) -> None:
        """Returns when the client closes the connection after its whole body has come."""
        await self._ended.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout(self._idle_seconds):
                message = await self._receive()
        except TimeoutError:
            raise UploadStalled(f"nothing came for {self._idle_seconds:g} s; send the file again") from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        if not message.get("more_body", False):
            self._ended.set()
        return bytes(message.get("body", b""))
