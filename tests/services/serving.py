"""Services on real sockets with a ScriptedGenerator behind them, and what a client sends to them."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
import numpy as np

from assay.composite import CompositeWeights
from assay.frame import Clip, Frame
from assay.rpc.channel import channel
from assay.rpc.errors import error_from
from assay.rpc.model import LiveModel
from assay.rpc.serve import listening
from assay.v1 import attribute_extraction_pb2 as extraction_pb2
from assay.v1 import attribute_extraction_pb2_grpc, score_pb2, scoring_pb2, scoring_pb2_grpc
from assay.wire import clip_header, pixel_slices
from services.attribute_extraction.service import AttributeExtractionService
from services.attribute_extraction.settings import AttributeExtractionSettings
from services.scoring.service import ScoringService
from services.scoring.settings import ScoringSettings
from tests.checkpoints import small_checkpoint
from tests.scripted_generator import ScriptedGenerator


@asynccontextmanager
async def serving(add: Callable[[grpc.aio.Server], None]) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a server of this process."""
    async with listening("127.0.0.1:0", add, []) as (_, address), channel(address) as connected:
        yield connected


@asynccontextmanager
async def scoring(
    generator: ScriptedGenerator, composites: Mapping[str, CompositeWeights] | None = None, **limits: Any
) -> AsyncIterator[Any]:
    settings = ScoringSettings.model_construct(**limits)
    service = ScoringService(generator, small_checkpoint(), LiveModel(generator.ready), settings, composites or {})
    async with serving(lambda server: scoring_pb2_grpc.add_ScoringServiceServicer_to_server(service, server)) as to:
        yield scoring_pb2_grpc.ScoringServiceStub(to)


@asynccontextmanager
async def extraction(generator: ScriptedGenerator, **limits: Any) -> AsyncIterator[Any]:
    settings = AttributeExtractionSettings.model_construct(**limits)
    service = AttributeExtractionService(generator, small_checkpoint(), LiveModel(generator.ready), settings)

    def add(server: grpc.aio.Server) -> None:
        attribute_extraction_pb2_grpc.add_AttributeExtractionServiceServicer_to_server(service, server)

    async with serving(add) as to:
        yield attribute_extraction_pb2_grpc.AttributeExtractionServiceStub(to)


def picture(side_px: int = 56) -> Clip:
    """A picture of which no two rows are alike."""
    pixels = np.arange(side_px * side_px * 3, dtype=np.int64).reshape(side_px, side_px, 3) % 251
    return Clip((Frame(pixels.astype(np.uint8)),), is_video=False)


def to_score(
    clip: Clip, form: Any = score_pb2.ANSWER_FORM_REGULAR, tenant: str = "", **transcript: Any
) -> list[scoring_pb2.ScoreRequest]:
    """A whole request; the transcript's fields, if it has one."""
    config = scoring_pb2.ScoringConfig(request_id="r1", form=form, clip=clip_header(clip), tenant=tenant)
    parts = [scoring_pb2.ScoreRequest(config=config)]
    parts += [scoring_pb2.ScoreRequest(pixels=pixels) for pixels in pixel_slices(clip)]
    if transcript:
        parts.append(scoring_pb2.ScoreRequest(transcript=extraction_pb2.Transcript(**transcript)))
    return parts


def to_extract(
    clip: Clip, form: Any = score_pb2.ANSWER_FORM_REGULAR, tenant: str = ""
) -> list[extraction_pb2.ExtractAttributesRequest]:
    config = extraction_pb2.ExtractionConfig(request_id="r1", form=form, clip=clip_header(clip), tenant=tenant)
    pixels = [extraction_pb2.ExtractAttributesRequest(pixels=pixels) for pixels in pixel_slices(clip)]
    return [extraction_pb2.ExtractAttributesRequest(config=config), *pixels]


async def answers(method: Any, parts: Iterable[Any], into: list[Any] | None = None) -> list[Any]:
    """All answers to a request, or the AssayError that the service meant; then `into` has those before it."""
    read = [] if into is None else into
    try:
        async for response in method(iter(parts)):
            read.append(response)
    except grpc.aio.AioRpcError as failed:
        raise error_from(failed) from failed
    return read
