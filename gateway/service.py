"""The public edge: reads uploads, numbers events, translates nothing else."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from assay.errors import InvalidRequest, UploadStalled
from assay.magic import is_picture
from assay.rpc.admission import Places
from assay.rpc.together import together
from assay.v1 import assay_pb2, assay_pb2_grpc, event_pb2
from assay.video import VideoOptions
from assay.video_wire import video_options_from_wire
from assay.wire import form_from_wire
from gateway.assess import Assessment
from gateway.decode import DecodePool
from gateway.fetching import Fetcher, with_head
from gateway.merge import beating
from gateway.settings import GatewaySettings
from gateway.upstream import Upstream, request_options
from gateway.window import Event

Context = Any  # grpc.aio.ServicerContext; its two type parameters differ from method to method
UploadRequest = assay_pb2.StreamImageRequest | assay_pb2.StreamVideoRequest


@dataclass(slots=True)
class AssayService(assay_pb2_grpc.AssayServiceServicer):
    """Serves clients; every request gets an Assessment of its own."""

    settings: GatewaySettings
    decoder: DecodePool
    upstream: Upstream
    places: Places
    fetcher: Fetcher

    async def ScoreImage(  # noqa: N802 - named by the contract
        self, request: assay_pb2.ScoreImageRequest, context: Context
    ) -> assay_pb2.ScoreImageResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield request.image

        async with aclosing(self._assess(request.config, chunks(), is_video=False)) as events:
            async for event in events:
                if event.HasField("result"):
                    return assay_pb2.ScoreImageResponse(result=event.result)
        raise AssertionError("an assessment ends with a result or an error")

    async def StreamImage(  # noqa: N802
        self, requests: AsyncIterator[assay_pb2.StreamImageRequest], context: Context
    ) -> AsyncGenerator[assay_pb2.StreamImageResponse, None]:
        async with aclosing(self._stream(requests, is_video=False)) as messages:
            async for first, *then in messages:
                yield assay_pb2.StreamImageResponse(event=first, then=then)

    async def StreamVideo(  # noqa: N802
        self, requests: AsyncIterator[assay_pb2.StreamVideoRequest], context: Context
    ) -> AsyncGenerator[assay_pb2.StreamVideoResponse, None]:
        async with aclosing(self._stream(requests, is_video=True)) as messages:
            async for first, *then in messages:
                yield assay_pb2.StreamVideoResponse(event=first, then=then)

    async def ScoreUri(  # noqa: N802
        self, request: assay_pb2.ScoreUriRequest, context: Context
    ) -> AsyncGenerator[assay_pb2.ScoreUriResponse, None]:
        async with aclosing(_messages(request.config, self._told(self._assess_uri(request)))) as messages:
            async for first, *then in messages:
                yield assay_pb2.ScoreUriResponse(event=first, then=then)

    async def _assess_uri(self, request: assay_pb2.ScoreUriRequest) -> AsyncGenerator[Event, None]:
        # A tenant that does not exist is refused before anything is fetched.
        await self.upstream.spec(form_from_wire(request.config.form), request.config.tenant)
        async with aclosing(self.fetcher.chunks(request.uri, self.settings.max_video_bytes)) as chunks:
            head, upload = await with_head(chunks)
            async with aclosing(self._assess(request.config, upload, is_video=not is_picture(head))) as events:
                async for event in events:
                    yield event

    async def _stream(
        self, requests: AsyncIterator[UploadRequest], is_video: bool
    ) -> AsyncGenerator[list[Event], None]:
        first = await self._next(requests)
        if first is None or first.WhichOneof("part") != "config":
            raise InvalidRequest("the first message must hold the config", field="config")
        told = self._told(self._assess(first.config, self._chunks(requests), is_video))
        async with aclosing(_messages(first.config, told)) as messages:
            async for message in messages:
                yield message

    async def _told(self, assessed: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """The events numbered, with heartbeats in quiet times."""
        beat = Event(heartbeat=event_pb2.Heartbeat())
        sequence = 0
        async with aclosing(beating(assessed, self.settings.heartbeat_seconds, beat)) as events:
            async for event in events:
                sequence += 1
                numbered = Event(sequence=sequence)
                numbered.MergeFrom(event)
                yield numbered

    async def _chunks(self, requests: AsyncIterator[UploadRequest]) -> AsyncIterator[bytes]:
        while request := await self._next(requests):
            if request.WhichOneof("part") != "chunk":
                raise InvalidRequest("the config comes once, in the first message", field="config")
            yield request.chunk

    async def _next(self, requests: AsyncIterator[UploadRequest]) -> UploadRequest | None:
        idle_seconds = self.settings.upload_idle_seconds
        try:
            async with asyncio.timeout(idle_seconds):
                return await anext(requests, None)
        except TimeoutError:
            raise UploadStalled(
                f"nothing came for {idle_seconds:g} s; send the upload again, and half-close after the last byte"
            ) from None

    async def _assess(
        self, config: assay_pb2.ScoreConfig, upload: AsyncIterator[bytes], is_video: bool
    ) -> AsyncGenerator[Event, None]:
        assessment = Assessment(
            request=request_options(config),
            is_video=is_video,
            attributes=frozenset(config.attributes),
            decoder=self.decoder,
            upstream=self.upstream,
            limits=self.settings.decode_limits(),
            looking=self.settings.looking(),
            options=video_options_from_wire(config.video) if is_video else VideoOptions(),
            windows_at_once=self.settings.windows_at_once,
        )
        with self.places.one():
            async with aclosing(assessment.events(upload)) as events:
                async for event in events:
                    yield event


def _messages(config: assay_pb2.ScoreConfig, told: AsyncGenerator[Event, None]) -> AsyncGenerator[list[Event], None]:
    """The events of each message. Closing it closes `told`."""
    return together(told) if config.takes_several else _one_by_one(told)


async def _one_by_one(told: AsyncGenerator[Event, None]) -> AsyncGenerator[list[Event], None]:
    async with aclosing(told):
        async for event in told:
            yield [event]
