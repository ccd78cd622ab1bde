"""The public edge: reads uploads, writes events, translates nothing else."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from assay.errors import InvalidRequest
from assay.magic import is_picture
from assay.rpc.call import priority, within
from assay.rpc.streams import Put, responses
from assay.rpc.tracing import begin_span
from assay.rpc.usage import usage_meter
from assay.v1 import assay_pb2, assay_pb2_grpc, event_pb2
from assay.video import VideoOptions
from assay.wire import video_options_from_wire
from gateway.assessment import FileAssessment
from gateway.clip_scoring import Event
from gateway.decode.jobs import DecodePool
from gateway.fetching import Fetcher, with_head
from gateway.quotas import QuotaLimits, Quotas, Spending
from gateway.request_limit import RequestLimit, RequestPlace
from gateway.settings import GatewaySettings
from gateway.thumbnail import thumbnails_from_wire
from gateway.upload import UnfinishedUploads, UploadClock
from gateway.upstream import RequestOptions, Upstream, request_options

Context = Any  # grpc.aio.ServicerContext; its two type parameters differ from method to method
R = TypeVar("R")
UploadRequest = assay_pb2.StreamImageRequest | assay_pb2.StreamVideoRequest


@dataclass(slots=True)
class AssayService(assay_pb2_grpc.AssayServiceServicer):
    """Serves clients; every request gets a FileAssessment of its own."""

    settings: GatewaySettings
    decoder: DecodePool
    upstream: Upstream
    requests: RequestLimit
    uploads: UnfinishedUploads
    fetcher: Fetcher
    quotas: Quotas = field(default_factory=lambda: Quotas(QuotaLimits()))

    async def ScoreImage(  # noqa: N802 - named by the contract
        self, request: assay_pb2.ScoreImageRequest, context: Context
    ) -> assay_pb2.ScoreImageResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield request.image

        result = event_pb2.Result()

        async def put(event: Event) -> None:
            if event.HasField("result"):
                result.CopyFrom(event.result)

        await self._assess(request.config, chunks(), put, is_video=False)
        return assay_pb2.ScoreImageResponse(result=result)

    def StreamImage(  # noqa: N802
        self, requests: AsyncIterator[assay_pb2.StreamImageRequest], context: Context
    ) -> AsyncGenerator[assay_pb2.StreamImageResponse, None]:
        return self._responses(assay_pb2.StreamImageResponse, partial(self._stream, requests, context, is_video=False))

    def StreamVideo(  # noqa: N802
        self, requests: AsyncIterator[assay_pb2.StreamVideoRequest], context: Context
    ) -> AsyncGenerator[assay_pb2.StreamVideoResponse, None]:
        return self._responses(assay_pb2.StreamVideoResponse, partial(self._stream, requests, context, is_video=True))

    def ScoreUri(  # noqa: N802
        self, request: assay_pb2.ScoreUriRequest, context: Context
    ) -> AsyncGenerator[assay_pb2.ScoreUriResponse, None]:
        return self._responses(assay_pb2.ScoreUriResponse, partial(self._uri, request, context.peer()))

    def _responses(
        self, response: Callable[..., R], assess: Callable[[Put[Event]], Coroutine[Any, Any, None]]
    ) -> AsyncGenerator[R, None]:
        return responses(response, Event, assess, self.settings.heartbeat_seconds)

    async def _stream(
        self, requests: AsyncIterator[UploadRequest], context: Context, put: Put[Event], *, is_video: bool
    ) -> None:
        clock = UploadClock(self.settings.upload)
        with self.uploads.begin(context.peer()) as unfinished:
            first = await clock.wait(anext(requests, None))
            if first is None or first.WhichOneof("part") != "config":
                raise InvalidRequest("the first message must hold the config", field="config")
            upload = _counted(clock.timed(_chunks(requests)), unfinished)
            await self._assess(first.config, upload, put, is_video, context.send_initial_metadata)

    async def _uri(self, request: assay_pb2.ScoreUriRequest, peer: str, put: Put[Event]) -> None:
        # A tenant that does not exist is refused before anything is fetched.
        await self.upstream.spec_for(request_options(request.config))
        with self.uploads.begin(peer) as unfinished:
            async with aclosing(self.fetcher.chunks(request.uri, self.settings.limits.max_video_bytes)) as chunks:
                clock = UploadClock(self.settings.upload)
                head, upload = await with_head(clock.timed(chunks))
                await self._assess(request.config, _counted(upload, unfinished), put, is_video=not is_picture(head))

    async def _assess(
        self,
        config: assay_pb2.ScoreConfig,
        upload: AsyncIterator[bytes],
        put: Put[Event],
        is_video: bool,
        admitted: Callable[[tuple[()]], Awaitable[None]] | None = None,
    ) -> None:
        """`admitted` is called, with initial metadata, once there is room: a client may wait for it with its bytes."""
        request, deadlines = request_options(config), self.settings.deadlines
        spending, waiting = Spending(self.quotas, request.tenant, usage_meter()), begin_span("admission")
        priority.set(request.priority)

        async def put_with_usage(event: Event) -> None:
            if event.HasField("result"):
                event.result.usage.CopyFrom(spending.usage(event.result.media))
            await put(event)

        async with (
            within(getattr(deadlines, f"{request.form}_seconds"), deadlines.least_seconds),
            self.quotas.request(request.tenant),
            self.requests.place(request.tenant, request.priority) as place,
        ):
            if waiting:
                waiting.end()
            if admitted:
                await admitted(())
            try:
                received = spending.received(upload)
                await self._assessment(config, request, place, is_video).run(received, put_with_usage)
            finally:
                await spending.settle()

    def _assessment(
        self, config: assay_pb2.ScoreConfig, request: RequestOptions, place: RequestPlace, is_video: bool
    ) -> FileAssessment:
        return FileAssessment(
            request=request,
            is_video=is_video,
            attributes=frozenset(config.attributes),
            decoder=self.decoder,
            upstream=self.upstream,
            settings=self.settings,
            place=place,
            options=video_options_from_wire(config.video) if is_video else VideoOptions(),
            thumbnails=thumbnails_from_wire(config),
        )


async def _chunks(requests: AsyncIterator[UploadRequest]) -> AsyncIterator[bytes]:
    async for request in requests:
        if request.WhichOneof("part") != "chunk":
            raise InvalidRequest("the config comes once, in the first message", field="config")
        yield request.chunk


async def _counted(chunks: AsyncIterator[bytes], unfinished: ExitStack) -> AsyncIterator[bytes]:
    """The chunks; after the last one the upload does not count as unfinished any more."""
    async for chunk in chunks:
        yield chunk
    unfinished.close()
