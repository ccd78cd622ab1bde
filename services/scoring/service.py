"""The gRPC edge of scoring. It only translates."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from assay.checkpoint import Checkpoint
from assay.generator import Generator
from assay.rpc.admission import Places
from assay.rpc.logs import request_id
from assay.rpc.model import LiveModel
from assay.rpc.upload import Upload
from assay.transcript import Transcript
from assay.v1 import scoring_pb2 as pb
from assay.v1.scoring_pb2_grpc import ScoringServiceServicer
from assay.wire import form_from_wire, score_to_wire, spec_to_wire, transcript_from_wire
from services.scoring.score import EarlyScore, FinalScore, score_clip

NAME = pb.DESCRIPTOR.services_by_name["ScoringService"].full_name
Context = grpc.aio.ServicerContext[Any, Any]


class ScoringService(ScoringServiceServicer):
    """Serves one checkpoint through one generator."""

    def __init__(
        self,
        generator: Generator,
        checkpoint: Checkpoint,
        model: LiveModel,
        *,
        max_in_flight: int = 32,
        idle_timeout_seconds: float = 30.0,
        transcript_timeout_seconds: float = 120.0,
    ) -> None:
        self._generator = generator
        self._checkpoint = checkpoint
        self._model = model
        self._places = Places(max_in_flight)
        self._idle_timeout_seconds = idle_timeout_seconds
        self._transcript_timeout_seconds = transcript_timeout_seconds

    async def Score(  # noqa: N802 the name is the contract's
        self, request_iterator: AsyncIterator[pb.ScoreRequest], context: Context
    ) -> AsyncGenerator[pb.ScoreResponse, None]:
        with self._places.one():
            upload = Upload[pb.ScoringConfig](request_iterator, self._idle_timeout_seconds)
            config = await upload.config()
            request_id.set(config.request_id)
            clip = await upload.clip(config.clip, self._checkpoint)
            form_name = form_from_wire(config.form)

            async def transcript() -> Transcript | None:
                told = None
                if form_name != "direct":
                    part = await upload.part("transcript", self._transcript_timeout_seconds)
                    told = transcript_from_wire(part)
                await upload.end()
                return told

            scores = score_clip(self._generator, self._checkpoint, form_name, clip, transcript)
            async with aclosing(scores) as events:
                async for event in events:
                    yield _to_wire(event)

    async def DescribeModel(  # noqa: N802 the name is the contract's
        self, request: pb.ScoringServiceDescribeModelRequest, context: Context
    ) -> pb.ScoringServiceDescribeModelResponse:
        spec = spec_to_wire(self._checkpoint, await self._model.fingerprint())
        return pb.ScoringServiceDescribeModelResponse(spec=spec)


def _to_wire(event: EarlyScore | FinalScore) -> pb.ScoreResponse:
    if isinstance(event, EarlyScore):
        return pb.ScoreResponse(early_score=score_to_wire(event.score))
    final = pb.FinalScore(score=score_to_wire(event.score), direct_score=score_to_wire(event.direct))
    if event.reasoned is not None:
        final.reasoned_score.CopyFrom(score_to_wire(event.reasoned))
    return pb.ScoreResponse(final_score=final)
