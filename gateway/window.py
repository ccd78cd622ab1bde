"""One clip -> its events, from both services at once.

The two services hold one conversation: attribute extraction writes the reasoning and the grades, scoring writes a
direct number at once and a reasoned one as soon as it has the transcript of the reasoning.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from google.protobuf.duration_pb2 import Duration

from assay.checkpoint import FormName
from assay.errors import ServiceUnavailable
from assay.frame import Clip
from assay.v1 import attribute_extraction_pb2, event_pb2, score_pb2, scoring_pb2
from gateway.merge import merged
from gateway.upstream import Upstream

Event = event_pb2.ScoreEvent


async def window_events(
    upstream: Upstream, request_id: str, form: FormName, clip: Clip, index: int, tenant: str = ""
) -> AsyncGenerator[Event, None]:
    """Reasoning, attributes and the early score as they come; the window with all of it last.

    Raises what Upstream raises.
    """
    result = score_pb2.WindowResult(
        window_index=index,
        start_offset=offset(clip.frames[0].pts_seconds),
        end_offset=offset(clip.frames[-1].pts_seconds),
        frame_count=len(clip.frames),
    )
    transcript: asyncio.Future[attribute_extraction_pb2.Transcript] = asyncio.get_running_loop().create_future()
    # `result.attributes` grows while the attributes are told; all of them are there when the transcript is.
    scores = upstream.score(request_id, form, clip, transcript, tenant=tenant, attributes=result.attributes)
    streams = [_scored(scores, result)]
    if form != "direct":
        streams.append(_reasoned(upstream.extract(request_id, form, clip, tenant=tenant), result, transcript))
    async with aclosing(merged(*streams)) as events:
        async for event in events:
            yield event
    yield Event(window=result)


async def _reasoned(
    responses: AsyncGenerator[attribute_extraction_pb2.ExtractAttributesResponse, None],
    result: score_pb2.WindowResult,
    transcript: asyncio.Future[attribute_extraction_pb2.Transcript],
) -> AsyncGenerator[Event, None]:
    index = result.window_index
    async with aclosing(responses):
        async for response in responses:
            match response.WhichOneof("event"):
                case "reasoning":
                    result.reasoning += response.reasoning
                    yield Event(reasoning=event_pb2.ReasoningDelta(window_index=index, text=response.reasoning))
                case "attribute":
                    told = response.attribute
                    result.attributes.append(told)
                    yield Event(attribute=event_pb2.AttributeResult(window_index=index, attribute=told))
                case "transcript":
                    transcript.set_result(response.transcript)
    if not transcript.done():
        raise ServiceUnavailable("the attribute extraction service ended before its transcript; try again")


async def _scored(
    responses: AsyncGenerator[scoring_pb2.ScoreResponse, None], result: score_pb2.WindowResult
) -> AsyncGenerator[Event, None]:
    index = result.window_index
    async with aclosing(responses):
        async for response in responses:
            match response.WhichOneof("event"):
                case "early_score":
                    yield Event(early_score=event_pb2.EarlyScore(window_index=index, score=response.early_score))
                case "final_score":
                    _put(response.final_score, result)
    if not result.HasField("score"):
        raise ServiceUnavailable("the scoring service ended before its final score; try again")


def _put(final: scoring_pb2.FinalScore, result: score_pb2.WindowResult) -> None:
    result.score.CopyFrom(final.score)
    result.direct_score.CopyFrom(final.direct_score)
    if final.HasField("reasoned_score"):
        result.reasoned_score.CopyFrom(final.reasoned_score)
    if final.HasField("composite_score"):
        result.composite_score.CopyFrom(final.composite_score)


def offset(seconds: float) -> Duration:
    """Seconds as a Duration, to the nanosecond."""
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration
