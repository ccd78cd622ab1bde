"""The gRPC edge of scoring. It only translates."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc

from assay.attribute import Attribute
from assay.checkpoint import FormName, ModelSpec
from assay.composite import CompositeWeights
from assay.errors import InvalidRequest
from assay.generator import Generator
from assay.rpc.admission import ConcurrencyLimit
from assay.rpc.call import request_id
from assay.rpc.model import LiveModel
from assay.rpc.upload import Upload
from assay.rpc.usage import usage_meter
from assay.transcript import Transcript
from assay.v1 import scoring_pb2 as pb
from assay.v1.scoring_pb2_grpc import ScoringServiceServicer
from assay.wire import attributes_from_wire, form_from_wire, score_to_wire, spec_to_wire, transcript_from_wire
from services.scoring.score import Composite, EarlyScore, FinalScore, refuse_unfit_weights, score_clip
from services.scoring.settings import ScoringSettings

NAME = pb.DESCRIPTOR.services_by_name["ScoringService"].full_name
Context = grpc.aio.ServicerContext[Any, Any]


@dataclass
class ScoringService(ScoringServiceServicer):
    """Serves one checkpoint through one generator."""

    generator: Generator
    checkpoint: ModelSpec
    model: LiveModel
    settings: ScoringSettings = field(default_factory=ScoringSettings)
    composites: Mapping[str, CompositeWeights] = field(default_factory=dict)
    _places: ConcurrencyLimit = field(init=False)

    def __post_init__(self) -> None:
        self._places = ConcurrencyLimit(self.settings.max_in_flight)

    async def Score(  # noqa: N802 the name is the contract's
        self, request_iterator: AsyncIterator[pb.ScoreRequest], context: Context
    ) -> AsyncGenerator[pb.ScoreResponse, None]:
        with self._places.one():
            upload = Upload[pb.ScoringConfig](request_iterator, self.settings.idle_timeout_seconds)
            config = await upload.config()
            request_id.set(config.request_id)
            form_name = form_from_wire(config.form)
            # Before any pixel is read: nobody has to upload a clip to learn that a name is misspelt.
            weights = None if config.omit_composite else self._weights(config.tenant, form_name)
            clip = await upload.clip(config.clip, self.checkpoint)

            async def transcript() -> Transcript | None:
                written = None
                if form_name != "direct":
                    part = await upload.part("transcript", self.settings.transcript_timeout_seconds)
                    written = transcript_from_wire(part)
                if weights is None:
                    await upload.end()
                return written

            async def grades() -> list[Attribute]:
                part = await upload.part("grades", self.settings.idle_timeout_seconds)
                await upload.end()
                return attributes_from_wire(part.attributes)

            composite = Composite(weights, grades) if weights else None
            scores = score_clip(self.generator, self.checkpoint, form_name, clip, transcript, config.tenant, composite)
            async with aclosing(scores) as events:
                async for event in events:
                    yield _to_wire(event, omit_distributions=config.omit_digit_distributions)

    def _weights(self, tenant: str, form_name: FormName) -> CompositeWeights | None:
        if not tenant:
            return None
        if tenant not in self.composites:
            raise InvalidRequest(
                f"there is no tenant {tenant!r}: no composite weights are stored under this name", field="config.tenant"
            )
        if form_name == "direct":
            raise InvalidRequest(
                "a composite score is made of grades, and the direct form has none; ask for the regular form",
                field="config.tenant",
            )
        return self.composites[tenant]

    async def DescribeModel(  # noqa: N802 the name is the contract's
        self, request: pb.ScoringServiceDescribeModelRequest, context: Context
    ) -> pb.ScoringServiceDescribeModelResponse:
        weights = self._weights(request.tenant, form_from_wire(request.form))
        answer = await self.model.last_answer()
        if weights is not None:
            refuse_unfit_weights(weights, answer.checkpoint_fingerprint)
        spec = spec_to_wire(self.checkpoint, answer.checkpoint_fingerprint, answer.warnings)
        return pb.ScoringServiceDescribeModelResponse(spec=spec)


def _to_wire(event: EarlyScore | FinalScore, *, omit_distributions: bool) -> pb.ScoreResponse:
    to_wire = partial(score_to_wire, omit_distributions=omit_distributions)
    if isinstance(event, EarlyScore):
        return pb.ScoreResponse(early_score=to_wire(event.score))
    final = pb.FinalScore(score=to_wire(event.score), direct_score=to_wire(event.direct))
    if event.reasoned is not None:
        final.reasoned_score.CopyFrom(to_wire(event.reasoned))
    if event.composite is not None:
        final.composite_score.CopyFrom(to_wire(event.composite))
    final.usage.CopyFrom(usage_meter().to_wire())
    return pb.ScoreResponse(final_score=final)
