"""Timeline: what is known of the windows of one upload so far, small enough for an upload of days."""

from collections.abc import Mapping

from assay.pooling import AttributePool, pool
from assay.score import Score
from assay.v1 import event_pb2, score_pb2
from assay.video import PoolingRule
from assay.wire import POOLING_TO_WIRE, attribute_from_wire, attribute_to_wire, score_from_wire, score_to_wire, seconds

DETAILED_WINDOWS = 64
"""With more windows than these, what a result says of each is brought down to its score and its place in time."""
_LEAST_WEIGHT_SECONDS = 1e-3


class Timeline:
    """Feed finished windows in order of time; then fill a result."""

    def __init__(self, rule: PoolingRule, grade_quantiles: Mapping[str, float] | None = None) -> None:
        """`grade_quantiles`: see `AttributePool`."""
        self._rule = rule
        self._windows: list[score_pb2.WindowResult] = []
        self._attributes = AttributePool(grade_quantiles)
        self._scores: list[Score] = []
        self._composites: list[Score] = []
        self._weights: list[float] = []

    def __len__(self) -> int:
        return len(self._windows)

    def feed(self, window: score_pb2.WindowResult) -> None:
        # A video of one frame whose end nobody knows lasts no time, and is all there is.
        weight = max(seconds(window.end_offset) - seconds(window.start_offset), _LEAST_WEIGHT_SECONDS)
        self._weights.append(weight)
        # The first keeps its digits: it may be the only one, and then they are those of the whole.
        self._scores.append(score_from_wire(_bare(window.score) if self._scores else window.score))
        if window.HasField("composite_score"):
            one = window.composite_score
            self._composites.append(score_from_wire(_bare(one) if self._composites else one))
        self._attributes.feed(map(attribute_from_wire, window.attributes), weight)
        self._windows.append(window)
        if len(self._windows) == DETAILED_WINDOWS + 1:
            self._windows = [_slim(each) for each in self._windows]
        elif len(self._windows) > DETAILED_WINDOWS:
            self._windows[-1] = _slim(window)

    def fill(self, result: event_pb2.Result, *, is_video: bool) -> None:
        """The score of the whole and all that it came from. Needs a window."""
        rule = self._rule
        result.score.CopyFrom(score_to_wire(pool(self._scores, self._weights, rule)))
        result.pooling_rule.method = POOLING_TO_WIRE[rule.method]
        if rule.method == "percentile":
            result.pooling_rule.percentile = rule.percentile
        if rule.method == "worst":
            result.pooling_rule.worst_count = rule.worst_count
        result.attributes.extend(attribute_to_wire(each) for each in self._attributes.pooled())
        result.windows.extend(self._windows)
        if len(self._composites) == len(self._windows):
            result.composite_score.CopyFrom(score_to_wire(pool(self._composites, self._weights, rule)))
        if is_video:
            result.worst.CopyFrom(_segment(min(self._windows, key=lambda each: each.score.value)))
            result.best.CopyFrom(_segment(max(self._windows, key=lambda each: each.score.value)))


def _segment(window: score_pb2.WindowResult) -> event_pb2.Segment:
    return event_pb2.Segment(
        window_index=window.window_index,
        start_offset=window.start_offset,
        end_offset=window.end_offset,
        score=_bare(window.score),
    )


def _slim(window: score_pb2.WindowResult) -> score_pb2.WindowResult:
    return score_pb2.WindowResult(
        window_index=window.window_index,
        start_offset=window.start_offset,
        end_offset=window.end_offset,
        frame_count=window.frame_count,
        repeated_frames=window.repeated_frames,
        is_repeat=window.is_repeat,
        score=_bare(window.score),
        direct_score=_bare(window.direct_score),
        reasoned_score=_bare(window.reasoned_score) if window.HasField("reasoned_score") else None,
    )


def _bare(score: score_pb2.Score) -> score_pb2.Score:
    return score_pb2.Score(value=score.value, standard_deviation=score.standard_deviation, scale=score.scale)
