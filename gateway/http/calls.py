"""Calls of the gateway's services from inside its process: checks, errors and counters as at the gRPC edge, no wire."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractContextManager, aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import Message

from assay.rpc import edge
from assay.rpc.tracing import TRACEPARENT, given_traceparent
from assay.rpc.validation import check
from assay.v1 import assay_pb2, event_pb2, live_pb2
from gateway.http.body import ClientGone

CHUNK_BYTES = 1 << 20
"""Largest piece of a file in one message of the contract."""

R = TypeVar("R", bound=Message)
Events = AsyncGenerator[event_pb2.ScoreEvent, None]
Services = Any  # the servicers of assay.v1 that the gateway registers with gRPC


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, in place of gRPC's context."""

    name: str = "http:"
    """As gRPC names peers."""

    def peer(self) -> str:
        """The name, as servicers ask for it."""
        return self.name

    async def send_initial_metadata(self, metadata: object) -> None:
        """Over HTTP the body comes with the request; nobody waits for this."""


SPOOL = Caller("http:spool")
"""Who reads an upload in slices: its bytes lie here, and the spool has limits of its own."""


class Calls:
    """What HTTP offers of the contract. Every method raises AssayError."""

    def __init__(self, scores: Services, live: Services) -> None:
        """The very servicers that serve gRPC, so that both faces share limits, workers and cache."""
        self.services, self._live = scores, live

    def image(self, config: assay_pb2.ScoreConfig, chunks: AsyncIterator[bytes], caller: Caller) -> Events:
        """Events about a picture, the result last."""
        return _events(self.services.StreamImage(_upload(assay_pb2.StreamImageRequest, config, chunks), caller))

    def video(self, config: assay_pb2.ScoreConfig, chunks: AsyncIterator[bytes], caller: Caller) -> Events:
        """Events about a video while its bytes still come, the result last."""
        return _events(self.services.StreamVideo(_upload(assay_pb2.StreamVideoRequest, config, chunks), caller))

    def uri(self, config: assay_pb2.ScoreConfig, uri: str, caller: Caller) -> Events:
        """Events about a file that is elsewhere, the result last."""
        request = assay_pb2.ScoreUriRequest(config=config, uri=uri)
        check(request)
        return _events(self.services.ScoreUri(request, caller))

    def live(
        self, config: live_pb2.LiveConfig, chunks: AsyncIterator[bytes], caller: Caller
    ) -> AsyncGenerator[live_pb2.ScoreLiveResponse, None]:
        """What is said of a live stream, `ended` last."""
        responses: AsyncGenerator[live_pb2.ScoreLiveResponse, None]
        responses = self._live.ScoreLive(_upload(live_pb2.ScoreLiveRequest, config, chunks), caller)
        return responses

    async def model(self) -> event_pb2.ModelInfo:
        """The model that scores."""
        info: event_pb2.ModelInfo = (await self.services.upstream.spec("regular")).model
        return info


async def _upload(kind: Callable[..., R], config: Message, chunks: AsyncIterator[bytes]) -> AsyncGenerator[R, None]:
    """The messages of a client-streaming call, each checked as the gRPC edge checks it."""
    first = kind(config=config)
    check(first)
    yield first
    async for chunk in chunks:
        for start in range(0, len(chunk), CHUNK_BYTES):
            yield kind(chunk=bytes(chunk[start : start + CHUNK_BYTES]))


async def _events(responses: AsyncGenerator[Any, None]) -> Events:
    async with aclosing(responses):
        async for response in responses:
            for event in response.events:
                yield event


def counted(method: str) -> AbstractContextManager[None]:
    """Counts, logs and traces a call as the gRPC edge does. Unexpected exceptions become an AssayError with an id."""
    return edge.counted(method, {TRACEPARENT: given_traceparent.get()}, gone=(asyncio.CancelledError, ClientGone))
