"""One clip -> its events and its window, from both services at once.

The two services hold one conversation: attribute extraction writes the reasoning and the grades, scoring writes a
direct number at once and a reasoned one as soon as it has the transcript of the reasoning.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.errors import ServiceUnavailable
from assay.frame import Clip, Frame
from assay.rpc.streams import Put, task_group
from assay.v1 import attribute_pb2, event_pb2, score_pb2, scoring_pb2
from assay.wire import duration
from gateway.repeats import distinct
from gateway.upstream import Explanation, RequestOptions, Upstream

Event = event_pb2.ScoreEvent
Scoring = Callable[[Put[Event]], Coroutine[Any, Any, None]]
"""Puts a clip's events: reasoning, attributes and the early score as they come; the window with all of it last."""


class ClipScorer:
    """Has the clips of one request scored."""

    def __init__(self, upstream: Upstream, options: RequestOptions) -> None:
        self._upstream = upstream
        self._options = options
        self._count = 0
        self._still: NDArray[np.uint8] | None = None
        """All that the last clip shows, if that is one picture."""
        self._window: asyncio.Future[score_pb2.WindowResult]
        """What is said of the last clip."""

    def begin(self, clip: Clip, photo: Frame | None = None) -> Scoring:
        """The clip's scoring, to be run in a task; called in the order of the clips.

        A frame that repeats the one before is not sent, nor a clip that repeats the one before. `photo`: what is judged
        in the place of a clip that shows one picture. Raises what Upstream raises.
        """
        sent = distinct(clip) if photo is None else Clip((photo,), is_video=False)
        window = begun(self._count, clip, sent)
        self._count += 1
        before, self._still = self._still, sent.frames[0].pixels if len(sent.frames) == 1 else None
        if before is not None and before is self._still:
            return partial(_repeat, self._window, window)
        self._window = asyncio.get_running_loop().create_future()
        return partial(self._score, sent, window, self._window)

    async def _score(
        self,
        clip: Clip,
        window: score_pb2.WindowResult,
        scored: "asyncio.Future[score_pb2.WindowResult]",
        put: Put[Event],
    ) -> None:
        await score_clip(self._upstream, self._options, clip, window, put)
        scored.set_result(window)
        await put(Event(window=window))


def begun(index: int, clip: Clip, sent: Clip) -> score_pb2.WindowResult:
    """A window with all that is known before its clip is scored."""
    return score_pb2.WindowResult(
        window_index=index,
        start_offset=duration(clip.start_seconds),
        end_offset=duration(clip.end_seconds),
        frame_count=len(sent.frames),
        repeated_frames=len(clip.frames) - len(sent.frames),
    )


async def _repeat(
    scored: "asyncio.Future[score_pb2.WindowResult]", window: score_pb2.WindowResult, put: Put[Event]
) -> None:
    """The result of an earlier clip, at the time of this one."""
    repeat = score_pb2.WindowResult()
    repeat.CopyFrom(await scored)
    for name in ("window_index", "frame_count", "repeated_frames"):
        setattr(repeat, name, getattr(window, name))
    repeat.start_offset.CopyFrom(window.start_offset)
    repeat.end_offset.CopyFrom(window.end_offset)
    repeat.is_repeat = True
    await put(Event(window=repeat))


async def score_clip(
    upstream: Upstream, options: RequestOptions, clip: Clip, window: score_pb2.WindowResult, put: Put[Event]
) -> None:
    """Fills the window, and puts what a client may read before it is complete. Raises what Upstream raises."""
    explanation: asyncio.Future[Explanation] = asyncio.get_running_loop().create_future()
    async with task_group() as group:
        if options.form != "direct":
            group.create_task(_explain(upstream, options, clip, window.window_index, explanation, put))
        await _score(upstream, options, clip, window, explanation, put)
    if options.form != "direct":
        window.reasoning = explanation.result().reasoning
        window.attributes.extend(explanation.result().attributes)


async def _explain(
    upstream: Upstream,
    options: RequestOptions,
    clip: Clip,
    index: int,
    explanation: "asyncio.Future[Explanation]",
    put: Put[Event],
) -> None:
    texts: list[str] = []
    attributes: list[attribute_pb2.Attribute] = []
    async with aclosing(upstream.extract(options, clip)) as events:
        async for event in events:
            match event.WhichOneof("event"):
                case "reasoning":
                    texts.append(event.reasoning)
                    await put(Event(reasoning=event_pb2.ReasoningDelta(window_index=index, text=event.reasoning)))
                case "attribute":
                    attributes.append(event.attribute)
                    graded = event_pb2.AttributeResult(window_index=index, attribute=event.attribute)
                    await put(Event(attribute=graded))
                case "transcript":
                    explanation.set_result(Explanation("".join(texts), tuple(attributes), event.transcript))
    if not explanation.done():
        raise ServiceUnavailable("the attribute extraction service ended before its transcript; try again")


async def _score(
    upstream: Upstream,
    options: RequestOptions,
    clip: Clip,
    window: score_pb2.WindowResult,
    explanation: "asyncio.Future[Explanation]",
    put: Put[Event],
) -> None:
    async with aclosing(upstream.score(options, clip, explanation)) as responses:
        async for response in responses:
            match response.WhichOneof("event"):
                case "early_score":
                    early = event_pb2.EarlyScore(window_index=window.window_index, score=response.early_score)
                    await put(Event(early_score=early))
                case "final_score":
                    _fill(window, response.final_score)
    if not window.HasField("score"):
        raise ServiceUnavailable("the scoring service ended before its final score; try again")


def _fill(window: score_pb2.WindowResult, final: scoring_pb2.FinalScore) -> None:
    window.score.CopyFrom(final.score)
    window.direct_score.CopyFrom(final.direct_score)
    if final.HasField("reasoned_score"):
        window.reasoned_score.CopyFrom(final.reasoned_score)
    if final.HasField("composite_score"):
        window.composite_score.CopyFrom(final.composite_score)
