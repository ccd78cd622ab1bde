"""Bytes of a file that is elsewhere, by way of the fetch service: this process has no way out and asks no stranger."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import grpc

from assay.errors import UriRefused
from assay.magic import HEAD_BYTES
from assay.rpc.channel import channel
from assay.rpc.errors import error_from
from assay.rpc.tls import PemFiles
from assay.rpc.tracing import begin_span
from assay.v1 import fetch_pb2, fetch_pb2_grpc


class Fetcher:
    """Calls to the fetch service; every failure comes out as an AssayError."""

    def __init__(self, address: str, files: PemFiles | None = None) -> None:
        """`address` is HOST:PORT, unix:PATH, or empty where URIs are not served."""
        self._channel = channel(address, files, follows_health=True) if address else None

    async def close(self) -> None:
        if self._channel:
            await self._channel.close()

    async def chunks(self, uri: str, max_bytes: int) -> AsyncGenerator[bytes, None]:
        """The file's bytes as they arrive; who reads them slowly slows the download down.

        Raises UriRefused, UriFailed, UriUnreachable, OverLimit, Busy, ServiceUnavailable.
        """
        if self._channel is None:
            raise UriRefused(
                "this server takes no URIs: GATEWAY_FETCH names no fetch service; upload the file", field="uri"
            )
        request = fetch_pb2.FetchRequest(uri=uri, max_bytes=max_bytes)
        stage, call = begin_span("call fetch"), fetch_pb2_grpc.FetchServiceStub(self._channel).Fetch(request)
        try:
            async for response in call:
                yield response.chunk
        except grpc.aio.AioRpcError as failed:
            raise error_from(failed, "the fetch service") from failed
        finally:
            call.cancel()
            if stage:
                stage.end()


async def with_head(chunks: AsyncGenerator[bytes, None]) -> tuple[bytes, AsyncGenerator[bytes, None]]:
    """Enough of the first bytes to tell a picture from a video, and all bytes from the first on."""
    head = b""
    while len(head) < HEAD_BYTES and (chunk := await anext(chunks, b"")):
        head += chunk

    async def whole() -> AsyncGenerator[bytes, None]:
        async with aclosing(chunks):
            if head:
                yield head
            async for chunk in chunks:
                yield chunk

    return head, whole()
