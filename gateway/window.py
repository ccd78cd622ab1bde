"""One clip -> its events, from both services at once.

The two services hold one conversation: attribute extraction writes the reasoning and the grades, scoring writes a
direct number at once and a reasoned one as soon as it has the transcript of the reasoning.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import numpy as np
from numpy.typing import NDArray

from assay.errors import ServiceUnavailable
from assay.frame import Clip
from assay.repeats import distinct
from assay.v1 import attribute_extraction_pb2, event_pb2, score_pb2, scoring_pb2
from assay.video_wire import duration
from gateway.merge import merged
from gateway.upstream import RequestOptions, Upstream

Event = event_pb2.ScoreEvent


async def window_events(
    upstream: Upstream, options: RequestOptions, clip: Clip, index: int
) -> AsyncGenerator[Event, None]:
    """Reasoning, attributes and the early score as they come; the window with all of it last.

    Raises what Upstream raises.
    """
    events = _events(upstream, options, clip, _begun(index, clip, clip))
    async with aclosing(events):
        async for event in events:
            yield event


class Questions:
    """Asks about the clips of one request, in their order."""

    def __init__(self, upstream: Upstream, options: RequestOptions) -> None:
        self._upstream = upstream
        self._options = options
        self._count = 0
        self._still: NDArray[np.uint8] | None = None
        """All that the last clip shows, if that is one picture."""
        self._answer: asyncio.Future[score_pb2.WindowResult]
        """What is said of the last clip."""

    def ask(self, clip: Clip) -> AsyncGenerator[Event, None]:
        """The clip's events. A frame that repeats the one before is not sent, nor a clip that repeats the one before.

        Raises what Upstream raises.
        """
        sent = distinct(clip)
        result = _begun(self._count, clip, sent)
        self._count += 1
        before, self._still = self._still, sent.frames[0].pixels if len(sent.frames) == 1 else None
        if before is not None and before is self._still:
            return _repeated(self._answer, result)
        self._answer = asyncio.get_running_loop().create_future()
        return self._asked(sent, result, self._answer)

    async def _asked(
        self, clip: Clip, result: score_pb2.WindowResult, answer: "asyncio.Future[score_pb2.WindowResult]"
    ) -> AsyncGenerator[Event, None]:
        events = _events(self._upstream, self._options, clip, result)
        async with aclosing(events):
            async for event in events:
                if event.HasField("window"):
                    answer.set_result(result)
                yield event


def _begun(index: int, clip: Clip, sent: Clip) -> score_pb2.WindowResult:
    return score_pb2.WindowResult(
        window_index=index,
        start_offset=duration(clip.start_seconds),
        end_offset=duration(clip.end_seconds),
        frame_count=len(sent.frames),
        repeated_frames=len(clip.frames) - len(sent.frames),
    )


async def _repeated(
    answer: "asyncio.Future[score_pb2.WindowResult]", result: score_pb2.WindowResult
) -> AsyncGenerator[Event, None]:
    """The answer to an earlier clip, at the time of this one."""
    repeat = score_pb2.WindowResult()
    repeat.CopyFrom(await answer)
    for name in ("window_index", "frame_count", "repeated_frames"):
        setattr(repeat, name, getattr(result, name))
    repeat.start_offset.CopyFrom(result.start_offset)
    repeat.end_offset.CopyFrom(result.end_offset)
    repeat.is_repeat = True
    yield Event(window=repeat)


async def _events(
    upstream: Upstream, options: RequestOptions, clip: Clip, result: score_pb2.WindowResult
) -> AsyncGenerator[Event, None]:
    transcript: asyncio.Future[attribute_extraction_pb2.Transcript] = asyncio.get_running_loop().create_future()
    # `result.attributes` grows while the attributes are told; all of them are there when the transcript is.
    scores = upstream.score(options, clip, transcript, result.attributes)
    streams = [_scored(scores, result)]
    if options.form != "direct":
        streams.append(_reasoned(upstream.extract(options, clip), result, transcript))
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
