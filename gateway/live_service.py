"""The public edge for live streams: reads messages, writes events, translates nothing else."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from assay.errors import Busy, InvalidRequest
from assay.rpc.admission import ConcurrencyLimit
from assay.rpc.call import priority
from assay.rpc.streams import Put, responses
from assay.rpc.usage import usage_meter
from assay.v1 import live_pb2, live_pb2_grpc
from gateway.decode.jobs import DecodePool
from gateway.decode.spec import RAW_FRAME
from gateway.live import Event, LiveStream
from gateway.quotas import Quotas, Spending
from gateway.request_limit import RequestLimit
from gateway.settings import GatewaySettings
from gateway.thumbnail import thumbnails_from_wire
from gateway.upload import UploadClock
from gateway.upstream import Upstream, request_options

Request = live_pb2.ScoreLiveRequest


@dataclass(slots=True)
class LiveService(live_pb2_grpc.LiveServiceServicer):
    """Serves clients; every stream gets a LiveStream of its own."""

    settings: GatewaySettings
    upstream: Upstream
    places: ConcurrencyLimit
    decoder: DecodePool
    requests: RequestLimit
    quotas: Quotas
    _stops: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """Ends every stream as its client would: what has come is judged, and the end says that the server stops."""
        self._stops.set()

    def ScoreLive(  # noqa: N802 - named by the contract
        self, requests: AsyncIterator[Request], context: Any
    ) -> AsyncGenerator[live_pb2.ScoreLiveResponse, None]:
        judge = partial(self._judge, requests, context)
        return responses(live_pb2.ScoreLiveResponse, Event, judge, self.settings.heartbeat_seconds)

    async def _judge(self, requests: AsyncIterator[Request], context: Any, put: Put[Event]) -> None:
        clock = UploadClock(self.settings.live_limits())
        first = await clock.wait(anext(requests, None))
        if first is None or first.WhichOneof("part") != "config":
            raise InvalidRequest("the first message must hold the config", field="config")
        if not self.settings.max_live_streams:
            raise Busy("this server takes no live streams: GATEWAY_MAX_LIVE_STREAMS is 0")
        # A tenant that does not exist is refused before the stream begins.
        options = request_options(first.config.config)
        await self.upstream.spec_for(options)
        priority.set("live")
        async with self.quotas.request(options.tenant):
            with self.places.one():
                await self._run(requests, context, put, first.config, clock)

    async def _run(
        self,
        requests: AsyncIterator[Request],
        context: Any,
        put: Put[Event],
        config: live_pb2.LiveConfig,
        clock: UploadClock,
    ) -> None:
        await context.send_initial_metadata(())
        second = await clock.wait(anext(requests, None))
        if second is None:
            raise InvalidRequest("nothing came after the config; send chunks, or frames with pixels", field="chunk")
        is_frames = second.WhichOneof("part") == "frame"
        parts = _Parts(requests, second, self._stops)
        stream = self._stream(config, is_frames)
        tenant = stream.request.tenant
        spending = Spending(self.quotas, tenant, usage_meter())

        async def report(event: Event) -> None:
            if event.HasField("ended"):
                event.ended.server_stops = self._stops.is_set()
                event.ended.usage.CopyFrom(spending.usage(event.ended.media))
            await put(event)
            if event.HasField("window"):
                await spending.settle()
                await self.quotas.check_spent(tenant)

        try:
            received = spending.received(parts.frames() if is_frames else parts.chunks())
            await stream.run(clock.timed(received), report)
        finally:
            await spending.settle()

    def _stream(self, config: live_pb2.LiveConfig, is_frames: bool) -> LiveStream:
        return LiveStream(
            request=request_options(config.config),
            attributes=frozenset(config.config.attributes),
            decoder=self.decoder,
            upstream=self.upstream,
            requests=self.requests,
            settings=self.settings,
            is_frames=is_frames,
            window_seconds=config.window.ToNanoseconds() / 1e9,
            hop_seconds=config.hop.ToNanoseconds() / 1e9,
            drops_oldest=config.lateness != live_pb2.LATENESS_WAIT,
            thumbnails=thumbnails_from_wire(config.config, thins_out=False),
        )


class _Parts:
    """What follows the config, as the bytes that a decode worker reads."""

    def __init__(self, requests: AsyncIterator[Request], first: Request, stops: asyncio.Event) -> None:
        self._requests = requests
        self._first = first
        self._stops = stops

    async def _all(self) -> AsyncGenerator[Request, None]:
        yield self._first
        stopping = asyncio.create_task(self._stops.wait())
        reading: asyncio.Task[Request | None] | None = None
        try:
            while not stopping.done():
                reading = asyncio.create_task(_next(self._requests))
                await asyncio.wait([reading, stopping], return_when=asyncio.FIRST_COMPLETED)
                if not reading.done() or (request := reading.result()) is None:
                    return
                yield request
        finally:
            for task in filter(None, (stopping, reading)):
                task.cancel()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        async for request in self._all():
            if request.WhichOneof("part") != "chunk":
                raise InvalidRequest("after a chunk only chunks may come", field=str(request.WhichOneof("part")))
            yield request.chunk

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """Each frame's head and its pixels, of which there must be neither too few nor too many."""
        missing_bytes = 0
        async for request in self._all():
            frame = request.frame
            if request.WhichOneof("part") == "frame" and not missing_bytes:
                missing_bytes = 3 * frame.height_px * frame.width_px
                yield RAW_FRAME.pack(frame.pts_seconds, frame.height_px, frame.width_px)
            elif request.WhichOneof("part") == "pixels" and 0 < len(request.pixels) <= missing_bytes:
                missing_bytes -= len(request.pixels)
                yield request.pixels
            else:
                raise InvalidRequest(
                    f"{request.WhichOneof('part')} came while {missing_bytes} bytes of pixels were due; "
                    "a frame is followed by height x width x 3 bytes",
                    field=str(request.WhichOneof("part")),
                )


async def _next(requests: AsyncIterator[Request]) -> Request | None:
    return await anext(requests, None)
