"""The two services behind the gateway, as they look from here."""

import asyncio
import math
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from assay.checkpoint import FormName
from assay.errors import CheckpointError
from assay.frame import Clip
from assay.rpc.call import Priority, identity, request_id
from assay.rpc.channel import channel
from assay.rpc.errors import error_from
from assay.rpc.tls import PemFiles
from assay.rpc.tracing import span
from assay.rpc.usage import usage_meter
from assay.v1 import assay_pb2, attribute_extraction_pb2_grpc, attribute_pb2, clip_pb2, scoring_pb2, scoring_pb2_grpc
from assay.v1 import attribute_extraction_pb2 as extraction_pb2
from assay.wire import FORM_TO_WIRE, clip_header, form_from_wire, pixel_slices

_SPEC_SECONDS = 1.0
"""How long what both services said of their model is believed. They themselves ask it every 10 s who it is."""
ModelSpec = clip_pb2.ModelSpec


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """What holds for every clip of a request."""

    request_id: str
    form: FormName
    tenant: str = ""
    """Whose request it is; empty for nobody in particular."""
    composite: bool = False
    """The tenant's composite score is wanted besides."""
    priority: Priority = "interactive"
    omit_distributions: bool = False
    """Scores come without their digits' probabilities."""


def request_options(config: assay_pb2.ScoreConfig) -> RequestOptions:
    """With the call's id and its caller's tenant. PermissionDenied if the config names another one."""
    return RequestOptions(
        request_id.get() or uuid.uuid4().hex,
        form_from_wire(config.form),
        identity.get().tenant_for(config.tenant),
        composite=bool(config.tenant),
        priority=_priority(config.priority_class),
        omit_distributions=config.omit_digit_distributions,
    )


def _priority(wanted: int) -> Priority:
    """As wanted, up to what the caller's credentials allow."""
    if wanted == assay_pb2.PRIORITY_CLASS_LIVE and "live" in identity.get().scopes:
        return "live"
    return "batch" if wanted == assay_pb2.PRIORITY_CLASS_BATCH else "interactive"


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that attribute extraction has to say of a clip."""

    reasoning: str
    attributes: tuple[attribute_pb2.Attribute, ...]
    transcript: extraction_pb2.Transcript


class Upstream:
    """Calls to attribute extraction and scoring. Every failure comes out as an AssayError that names the service."""

    def __init__(self, extraction_address: str, scoring_address: str, files: PemFiles | None = None) -> None:
        addresses = extraction_address, scoring_address
        self._channels = tuple(channel(each, files, follows_health=True) for each in addresses)
        self._extraction = attribute_extraction_pb2_grpc.AttributeExtractionServiceStub(self._channels[0])
        self._scoring = scoring_pb2_grpc.ScoringServiceStub(self._channels[1])
        self._specs: dict[tuple[FormName, str], tuple[float, ModelSpec]] = {}
        """By form and tenant: when it was received, by the clock of the event loop, and what."""

    async def close(self) -> None:
        for each in self._channels:
            await each.close()

    async def spec_for(self, options: RequestOptions) -> ModelSpec:
        """As `spec`, for a request."""
        return await self.spec(options.form, options.tenant if options.composite else "")

    async def spec(self, form: FormName, tenant: str = "") -> ModelSpec:
        """What frames the model takes, as it was at most a second ago; `tenant`: whose composite score is wanted.

        InvalidRequest if there is no such tenant, CheckpointError if the services that the form needs serve different
        checkpoints.
        """
        now = asyncio.get_running_loop().time()
        received_at, spec = self._specs.get((form, tenant), (-math.inf, ModelSpec()))
        if now - received_at > _SPEC_SECONDS:
            spec = await self._asked_spec(form, tenant)
            self._specs[form, tenant] = now, spec
        return spec

    async def _asked_spec(self, form: FormName, tenant: str) -> ModelSpec:
        calls = [self._scoring_spec(form, tenant), *([] if form == "direct" else [self._extraction_spec()])]
        specs = await asyncio.gather(*calls)
        if any(spec != specs[0] for spec in specs):
            names = ", ".join(f"{spec.model.name} {spec.model.checkpoint_fingerprint}" for spec in specs)
            raise CheckpointError(f"scoring and attribute extraction serve different checkpoints: {names}")
        return specs[0]

    async def _scoring_spec(self, form: FormName, tenant: str) -> ModelSpec:
        with _named("scoring"):
            request = scoring_pb2.ScoringServiceDescribeModelRequest(tenant=tenant, form=FORM_TO_WIRE[form])
            return (await self._scoring.DescribeModel(request)).spec

    async def _extraction_spec(self) -> ModelSpec:
        with _named("attribute extraction"):
            request = extraction_pb2.AttributeExtractionServiceDescribeModelRequest()
            return (await self._extraction.DescribeModel(request)).spec

    async def extract(
        self, options: RequestOptions, clip: Clip
    ) -> AsyncGenerator[extraction_pb2.ExtractionEvent, None]:
        """Reasoning and attributes of the clip, the transcript last. To stop reading cancels the call."""

        async def parts() -> AsyncIterator[extraction_pb2.ExtractAttributesRequest]:
            config = extraction_pb2.ExtractionConfig(
                request_id=options.request_id,
                form=FORM_TO_WIRE[options.form],
                clip=clip_header(clip),
                tenant=options.tenant,
            )
            yield extraction_pb2.ExtractAttributesRequest(config=config)
            for pixels in pixel_slices(clip):
                yield extraction_pb2.ExtractAttributesRequest(pixels=pixels)

        with _answered("attribute extraction", self._extraction.ExtractAttributes(parts())) as call:
            while isinstance(response := await call.read(), extraction_pb2.ExtractAttributesResponse):
                for event in response.events:
                    if event.HasField("transcript"):
                        usage_meter().add_upstream(event.transcript.usage)
                    yield event

    async def score(
        self, options: RequestOptions, clip: Clip, explanation: Awaitable[Explanation]
    ) -> AsyncGenerator[scoring_pb2.ScoreResponse, None]:
        """Early and final score of the clip. To stop reading cancels the call.

        The explanation is awaited after the pixels, unless the form is direct. Its grades are sent where a tenant's
        weights are to be put on them.
        """

        async def parts() -> AsyncIterator[scoring_pb2.ScoreRequest]:
            config = scoring_pb2.ScoringConfig(
                request_id=options.request_id,
                form=FORM_TO_WIRE[options.form],
                clip=clip_header(clip),
                tenant=options.tenant,
                omit_digit_distributions=options.omit_distributions,
                omit_composite=not options.composite,
            )
            yield scoring_pb2.ScoreRequest(config=config)
            for pixels in pixel_slices(clip):
                yield scoring_pb2.ScoreRequest(pixels=pixels)
            if options.form != "direct":
                explained = await explanation
                yield scoring_pb2.ScoreRequest(transcript=explained.transcript)
                if options.composite:
                    yield scoring_pb2.ScoreRequest(grades=scoring_pb2.Grades(attributes=explained.attributes))

        with _answered("scoring", self._scoring.Score(parts())) as call:
            while isinstance(response := await call.read(), scoring_pb2.ScoreResponse):
                if response.HasField("final_score"):
                    usage_meter().add_upstream(response.final_score.usage)
                yield response


@contextmanager
def _answered(service: str, call: Any) -> Iterator[Any]:
    """The call, for as long as somebody reads its answers; then it is cancelled, and the work on the other side."""
    try:
        with _named(service), span(f"call {service}"):
            yield call
    finally:
        call.cancel()


@contextmanager
def _named(service: str) -> Iterator[None]:
    """Turns a failed call into the AssayError that it carries, or into one that names the service."""
    try:
        yield
    except grpc.aio.AioRpcError as failed:
        raise error_from(failed, f"the {service} service") from failed
