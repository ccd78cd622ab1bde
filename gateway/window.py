"""One clip -> its events, from both services at once.

The two services hold one conversation: attribute extraction writes the reasoning and the grades, scoring writes a
direct number at once and a reasoned one as soon as it has the transcript of the reasoning.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from google.protobuf.duration_pb2 import Duration

from assay.checkpoint import FormName
from assay.frame import Clip
from assay.v1 import attribute_extraction_pb2, event_pb2, score_pb2, scoring_pb2
from gateway.merge import merged
from gateway.upstream import Upstream

Event = event_pb2.ScoreEvent


async def window_events(
    upstream: Upstream, request_id: str, form: FormName, clip: Clip, index: int
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
    streams = [_scored(upstream.score(request_id, form, clip, transcript), result)]
    if form != "direct":
        streams.append(_reasoned(upstream.extract(request_id, form, clip), result, transcript))
    async for event in merged(*streams):
        yield event
    yield Event(window=result)


async def _reasoned(
    responses: AsyncIterator[attribute_extraction_pb2.ExtractAttributesResponse],
    result: score_pb2.WindowResult,
    transcript: asyncio.Future[attribute_extraction_pb2.Transcript],
) -> AsyncGenerator[Event, None]:
    index = result.window_index
    async for response in responses:
        match response.WhichOneof("event"):
            case "reasoning":
                result.reasoning += response.reasoning
                yield Event(reasoning=event_pb2.ReasoningDelta(window_index=index, text=response.reasoning))
            case "attribute":
                result.attributes.append(response.attribute)
                yield Event(attribute=event_pb2.AttributeResult(window_index=index, attribute=response.attribute))
            case "transcript":
                transcript.set_result(response.transcript)


async def _scored(
    responses: AsyncIterator[scoring_pb2.ScoreResponse], result: score_pb2.WindowResult
) -> AsyncGenerator[Event, None]:
    async for response in responses:
        match response.WhichOneof("event"):
            case "early_score":
                yield Event(
                    early_score=event_pb2.EarlyScore(window_index=result.window_index, score=response.early_score)
                )
            case "final_score":
                final = response.final_score
                result.score.CopyFrom(final.score)
                result.direct_score.CopyFrom(final.direct_score)
                if final.HasField("reasoned_score"):
                    result.reasoned_score.CopyFrom(final.reasoned_score)


def offset(seconds: float) -> Duration:
    """Seconds as a Duration, to the nanosecond."""
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration
