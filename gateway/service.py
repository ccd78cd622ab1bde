"""The public edge: reads uploads, numbers events, translates nothing else."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from assay.errors import InvalidRequest
from assay.magic import is_picture
from assay.rpc.together import together
from assay.v1 import assay_pb2, assay_pb2_grpc, event_pb2
from assay.video import VideoOptions
from assay.video_wire import video_options_from_wire
from assay.wire import form_from_wire
from gateway.assess import Assessment
from gateway.decode import DecodePool
from gateway.fetching import Fetcher, with_head
from gateway.merge import beating
from gateway.request_limit import RequestLimit, RequestPlace
from gateway.settings import GatewaySettings
from gateway.upload import UnfinishedUpload, UnfinishedUploads, UploadClock
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
    requests: RequestLimit
    uploads: UnfinishedUploads
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
        async with aclosing(self._stream(requests, context.peer(), is_video=False)) as messages:
            async for first, *then in messages:
                yield assay_pb2.StreamImageResponse(event=first, then=then)

    async def StreamVideo(  # noqa: N802
        self, requests: AsyncIterator[assay_pb2.StreamVideoRequest], context: Context
    ) -> AsyncGenerator[assay_pb2.StreamVideoResponse, None]:
        async with aclosing(self._stream(requests, context.peer(), is_video=True)) as messages:
            async for first, *then in messages:
                yield assay_pb2.StreamVideoResponse(event=first, then=then)

    async def ScoreUri(  # noqa: N802
        self, request: assay_pb2.ScoreUriRequest, context: Context
    ) -> AsyncGenerator[assay_pb2.ScoreUriResponse, None]:
        told = self._told(self._assess_uri(request, context.peer()))
        async with aclosing(_messages(request.config, told)) as messages:
            async for first, *then in messages:
                yield assay_pb2.ScoreUriResponse(event=first, then=then)

    async def _assess_uri(self, request: assay_pb2.ScoreUriRequest, peer: str) -> AsyncGenerator[Event, None]:
        # A tenant that does not exist is refused before anything is fetched.
        await self.upstream.spec(form_from_wire(request.config.form), request.config.tenant)
        with self.uploads.begin(peer) as unfinished:
            async with aclosing(self.fetcher.chunks(request.uri, self.settings.max_video_bytes)) as chunks:
                clock = UploadClock(self.settings.upload_limits())
                head, upload = await with_head(clock.timed(chunks))
                is_video = not is_picture(head)
                async with aclosing(self._assess(request.config, _counted(upload, unfinished), is_video)) as events:
                    async for event in events:
                        yield event

    async def _stream(
        self, requests: AsyncIterator[UploadRequest], peer: str, is_video: bool
    ) -> AsyncGenerator[list[Event], None]:
        clock = UploadClock(self.settings.upload_limits())
        with self.uploads.begin(peer) as unfinished:
            first = await clock.wait(anext(requests, None))
            if first is None or first.WhichOneof("part") != "config":
                raise InvalidRequest("the first message must hold the config", field="config")
            upload = _counted(clock.timed(_chunks(requests)), unfinished)
            told = self._told(self._assess(first.config, upload, is_video))
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

    async def _assess(
        self, config: assay_pb2.ScoreConfig, upload: AsyncIterator[bytes], is_video: bool
    ) -> AsyncGenerator[Event, None]:
        async with self.requests.place() as place:
            assessment = self._assessment(config, place, is_video)
            async with aclosing(assessment.events(upload)) as events:
                async for event in events:
                    yield event

    def _assessment(self, config: assay_pb2.ScoreConfig, place: RequestPlace, is_video: bool) -> Assessment:
        return Assessment(
            request=request_options(config),
            is_video=is_video,
            attributes=frozenset(config.attributes),
            decoder=self.decoder,
            upstream=self.upstream,
            limits=self.settings.decode_limits(),
            looking=self.settings.looking(),
            place=place,
            options=video_options_from_wire(config.video) if is_video else VideoOptions(),
            windows_at_once=self.settings.windows_at_once,
        )


async def _chunks(requests: AsyncIterator[UploadRequest]) -> AsyncIterator[bytes]:
    async for request in requests:
        if request.WhichOneof("part") != "chunk":
            raise InvalidRequest("the config comes once, in the first message", field="config")
        yield request.chunk


async def _counted(chunks: AsyncIterator[bytes], unfinished: UnfinishedUpload) -> AsyncIterator[bytes]:
    """The chunks; after the last one the upload does not count as unfinished any more."""
    async for chunk in chunks:
        yield chunk
    unfinished.end()


def _messages(config: assay_pb2.ScoreConfig, told: AsyncGenerator[Event, None]) -> AsyncGenerator[list[Event], None]:
    """The events of each message. Closing it closes `told`."""
    return together(told) if config.takes_several else _one_by_one(told)


async def _one_by_one(told: AsyncGenerator[Event, None]) -> AsyncGenerator[list[Event], None]:
    async with aclosing(told):
        async for event in told:
            yield [event]
