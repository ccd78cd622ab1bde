"""Channels to other programs of Assay."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import grpc

from assay.rpc.access import is_loopback
from assay.rpc.call import upstream_metadata, upstream_timeout
from assay.rpc.options import CHANNEL, CHECKED_CHANNEL
from assay.rpc.tls import Pem, PemFiles

_CLOSE_SECONDS = 600.0
"""For calls in flight on a connection that showed a certificate which has been renewed."""


def channel(address: str, files: PemFiles | None = None, *, follows_health: bool = False) -> grpc.aio.Channel:
    """A channel to HOST:PORT or unix:PATH that finds a frozen peer and retries UNAVAILABLE before the first answer.

    Every call takes along the request id and the deadline of the call that it is made for. Nothing is connected before
    the first one. With `files` it speaks TLS and shows our certificate, the one of the moment; on loopback in plain
    text if the files name no authorities. With `follows_health` a peer that says NOT_SERVING gets no calls.
    """
    return _PeerChannel(address, files, CHECKED_CHANNEL if follows_health else CHANNEL)


class _PeerChannel(grpc.aio.Channel):
    """A channel of gRPC's, and another one once the certificate has changed."""

    def __init__(self, address: str, files: PemFiles | None, options: Sequence[tuple[str, int | str]]) -> None:
        self._address = address
        self._options = options
        # What is reached by a path on this machine is guarded by the path; and a program with a certificate for its
        # clients alone names no authorities of others.
        is_here = files is not None and files.paths[2] is None and is_loopback(address)
        self._files = None if address.startswith("unix:") or is_here else files
        self._shown: Pem | None = None
        self._channel = self._opened()

    def _opened(self) -> grpc.aio.Channel:
        if self._files is None:
            return grpc.aio.insecure_channel(self._address, options=self._options)
        self._shown = self._files.get()
        return grpc.aio.secure_channel(self._address, self._files.channel_credentials(), options=self._options)

    def _current(self) -> grpc.aio.Channel:
        if self._files is not None and self._files.get() is not self._shown:
            asyncio.get_running_loop().create_task(self._channel.close(_CLOSE_SECONDS))
            self._channel = self._opened()
        return self._channel

    def _calling(self, kind: str, how: tuple[Any, ...], options: dict[str, Any]) -> Callable[..., Any]:
        def call(*arguments: Any, timeout: float | None = None, metadata: Any = (), **more: Any) -> Any:
            made = getattr(self._current(), kind)(*how, **options)
            along = (*(metadata or ()), *upstream_metadata())
            return made(*arguments, timeout=upstream_timeout(timeout), metadata=along, **more)

        return call

    def unary_unary(self, *how: Any, **options: Any) -> Any:
        return self._calling("unary_unary", how, options)

    def unary_stream(self, *how: Any, **options: Any) -> Any:
        return self._calling("unary_stream", how, options)

    def stream_unary(self, *how: Any, **options: Any) -> Any:
        return self._calling("stream_unary", how, options)

    def stream_stream(self, *how: Any, **options: Any) -> Any:
        return self._calling("stream_stream", how, options)

    async def __aenter__(self) -> "_PeerChannel":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._channel.channel_ready()
