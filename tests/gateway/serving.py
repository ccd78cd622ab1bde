"""The gateway on a real socket, with both services on theirs and a ScriptedGenerator behind them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import MappingProxyType
from typing import Any

import grpc

from assay.checkpoint import ModelSpec
from assay.composite import CompositeWeights
from assay.errors import AssayError
from assay.rpc.admission import ConcurrencyLimit
from assay.rpc.channel import channel
from assay.rpc.errors import error_from
from assay.rpc.model import LiveModel
from assay.rpc.security import OPEN, Security
from assay.rpc.serve import listening
from assay.rpc.tls import PemFiles
from assay.v1 import (
    assay_pb2,
    assay_pb2_grpc,
    attribute_extraction_pb2_grpc,
    event_pb2,
    live_pb2_grpc,
    scoring_pb2_grpc,
)
from gateway.decode.jobs import DecodePool
from gateway.fetching import Fetcher
from gateway.live_service import LiveService
from gateway.quotas import Quotas
from gateway.request_limit import RequestLimit
from gateway.service import AssayService
from gateway.settings import GatewaySettings
from gateway.upload import UnfinishedUploads
from gateway.upstream import Upstream
from services.attribute_extraction.service import AttributeExtractionService
from services.scoring.service import ScoringService
from tests.checkpoints import small_checkpoint
from tests.media.build import media
from tests.scripted_generator import ScriptedGenerator

NOWHERE = "127.0.0.1:1"
"""Nothing listens there."""


@asynccontextmanager
async def gateway(
    pool: DecodePool,
    extraction: ScriptedGenerator | None = None,
    scoring: ScriptedGenerator | None = None,
    composites: Mapping[str, CompositeWeights] = MappingProxyType({}),
    checkpoint: ModelSpec | None = None,
    security: Security = OPEN,
    between: PemFiles | None = None,
    **settings: Any,
) -> AsyncIterator["Caller"]:
    """A client of a gateway. A service without a generator is down; without a checkpoint they have the small one.

    `between`: all programs speak mTLS with this certificate.
    """
    inner = Security(between, callers=("spiffe://assay/program",)) if between else OPEN
    spoken = checkpoint or small_checkpoint()
    async with AsyncExitStack() as extracts, AsyncExitStack() as scores:
        upstream = Upstream(
            await extracts.enter_async_context(
                upstream_service(spoken, extraction, AttributeExtractionService, attribute_extraction_pb2_grpc, inner)
            ),
            await scores.enter_async_context(
                upstream_service(spoken, scoring, ScoringService, scoring_pb2_grpc, inner, composites=composites)
            ),
            between,
        )
        chosen = GatewaySettings(**{"max_queued": 0, **settings})
        fetcher = Fetcher(chosen.fetch)
        service = AssayService(
            chosen,
            pool,
            upstream,
            RequestLimit(chosen.max_in_flight, chosen.queue_seconds, chosen.max_queued),
            UnfinishedUploads(chosen.max_unfinished_uploads_per_peer, chosen.max_unfinished_uploads),
            fetcher,
            Quotas(chosen.quotas),
        )
        streams = ConcurrencyLimit(chosen.max_live_streams)
        live = LiveService(chosen, upstream, streams, pool, service.requests, service.quotas)

        def add(server: grpc.aio.Server) -> None:
            assay_pb2_grpc.add_AssayServiceServicer_to_server(service, server)
            live_pb2_grpc.add_LiveServiceServicer_to_server(live, server)

        async with (
            listening("127.0.0.1:0", add, [], security=security) as (_, address),
            channel(address) as connected,
        ):
            stops = {"attribute extraction": extracts.aclose, "scoring": scores.aclose}
            yield Caller(connected, stops, address, (chosen, service, live))
        await upstream.close()
        await fetcher.close()


@asynccontextmanager
async def services(model: ScriptedGenerator) -> AsyncIterator[tuple[str, str]]:
    """Addresses of attribute extraction and of scoring, for a gateway of another process."""
    spoken = small_checkpoint()
    async with (
        upstream_service(spoken, model, AttributeExtractionService, attribute_extraction_pb2_grpc) as extraction,
        upstream_service(spoken, model, ScoringService, scoring_pb2_grpc) as scoring,
    ):
        yield extraction, scoring


@asynccontextmanager
async def upstream_service(
    checkpoint: ModelSpec,
    generator: ScriptedGenerator | None,
    kind: Any,
    stubs: Any,
    security: Security = OPEN,
    **options: Any,
) -> AsyncIterator[str]:
    if generator is None:
        yield NOWHERE
        return
    service = kind(generator, checkpoint, LiveModel(generator.ready), **options)
    add = getattr(stubs, f"add_{kind.__name__}Servicer_to_server")
    listens = listening("127.0.0.1:0", lambda server: add(service, server), [], security=security)
    async with listens as (health, address):
        await health.set(True)
        yield address


class Caller:
    """Sends files of tests.media and collects what comes back."""

    def __init__(
        self,
        connected: grpc.aio.Channel,
        stops: Mapping[str, Callable[[], Awaitable[None]]],
        address: str,
        program: tuple[GatewaySettings, AssayService, LiveService],
    ) -> None:
        self.stub = assay_pb2_grpc.AssayServiceStub(connected)
        self.live = live_pb2_grpc.LiveServiceStub(connected)
        self.address = address
        self.program = program
        """What the gateway's other faces are made of."""
        self.stop_live = program[2].stop
        self._stops = stops

    async def stop(self, service: str) -> None:
        """Ends the service at once, with all that it is doing."""
        await self._stops[service]()

    async def image(self, name: str, **config: Any) -> list[event_pb2.ScoreEvent]:
        return await self._events(self.stub.StreamImage, assay_pb2.StreamImageRequest, name, config)

    async def video(self, name: str, **config: Any) -> list[event_pb2.ScoreEvent]:
        return await self._events(self.stub.StreamVideo, assay_pb2.StreamVideoRequest, name, config)

    async def bytes_of_video(self, data: bytes, **config: Any) -> list[event_pb2.ScoreEvent]:
        """As `video`, for bytes that are no file of tests.media."""
        return await self._sent(self.stub.StreamVideo, assay_pb2.StreamVideoRequest, data, config)

    async def _events(self, method: Any, part: Any, name: str, config: dict[str, Any]) -> list[event_pb2.ScoreEvent]:
        return await self._sent(method, part, media(name).read_bytes(), config)

    async def _sent(self, method: Any, part: Any, data: bytes, config: dict[str, Any]) -> list[event_pb2.ScoreEvent]:
        parts = [part(config=assay_pb2.ScoreConfig(**config))]
        parts += [part(chunk=data[start : start + 65536]) for start in range(0, len(data), 65536)]
        return await events(method, parts)


async def events(method: Any, parts: Sequence[Any] | AsyncIterator[Any]) -> list[event_pb2.ScoreEvent]:
    """All events of a call. Raises the AssayError that the gateway meant."""
    try:
        call = method(iter(parts) if isinstance(parts, Sequence) else parts)
        return [event async for response in call for event in response.events]
    except grpc.aio.AioRpcError as failed:
        raise error_from(failed, "the gateway") from failed


async def refusal(method: Any, parts: Sequence[Any]) -> AssayError:
    """The error with which a call ends."""
    try:
        await events(method, parts)
    except AssayError as error:
        return error
    raise AssertionError("the call was not refused")
