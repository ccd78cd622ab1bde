"""gateway/timeline.py: windows in, the score of the whole out."""

import pytest

from assay.score import Scale, Score
from assay.v1 import event_pb2, score_pb2
from assay.video import Pooling, PoolingRule
from assay.wire import score_to_wire
from gateway.timeline import DETAILED_WINDOWS, Timeline

DIGITS = {"": (0.1,) * 10}


def score(value: float) -> score_pb2.Score:
    return score_to_wire(Score(value, 0.4, Scale(0.0, 10.0), f"{value:.2f}", DIGITS))


def window(index: int, value: float, seconds: float = 2.0, composite: float | None = None) -> score_pb2.WindowResult:
    found = score_pb2.WindowResult(window_index=index, frame_count=4, score=score(value), direct_score=score(value))
    found.reasoning = "Sharp."
    found.start_offset.FromMilliseconds(round(2000 * index))
    found.end_offset.FromMilliseconds(round(2000 * index + 1000 * seconds))
    if composite is not None:
        found.composite_score.CopyFrom(score(composite))
    return found


def filled(*windows: score_pb2.WindowResult, rule: PoolingRule | None = None, is_video: bool = True):
    timeline, result = Timeline(rule or PoolingRule()), event_pb2.Result()
    for each in windows:
        timeline.feed(each)
    timeline.fill(result, is_video=is_video)
    return result


def test_a_window_weighs_as_much_as_it_lasts():
    assert filled(window(0, 2.0, 3.0), window(1, 6.0, 1.0)).score.value == pytest.approx(3.0)


def test_a_picture_keeps_its_digits_and_has_no_worst_window():
    result = filled(window(0, 6.5, 0.0), is_video=False)
    assert (result.score.digits_as_written, result.HasField("worst")) == ("6.50", False)


def test_the_score_of_several_windows_has_no_digits():
    assert filled(window(0, 6.5), window(1, 6.5)).score.digits_as_written == ""


def test_the_worst_and_the_best_window_are_named():
    result = filled(window(0, 5.0), window(1, 2.0), window(2, 8.0))
    assert (result.worst.window_index, result.best.window_index) == (1, 2)


@pytest.mark.parametrize(
    ("rule", "value"),
    [(PoolingRule(Pooling.WORST, worst_count=1), 2.0), (PoolingRule(Pooling.PERCENTILE, percentile=100.0), 8.0)],
)
def test_the_rule_pools_and_is_reported(rule, value):
    result = filled(window(0, 5.0), window(1, 2.0), window(2, 8.0), rule=rule)
    reported = result.pooling_rule
    assert (result.score.value, reported.worst_count or reported.percentile) == (pytest.approx(value), rule.worst_count
            if rule.method is Pooling.WORST else rule.percentile)  # fmt: skip


def test_the_whole_has_a_composite_score_if_every_window_has_one():
    assert filled(window(0, 5.0, composite=4.0), window(1, 5.0, composite=6.0)).composite_score.value == 5.0


def test_a_window_without_a_composite_score_leaves_the_whole_without():
    assert not filled(window(0, 5.0, composite=4.0), window(1, 5.0)).HasField("composite_score")


def test_of_few_windows_everything_is_said():
    assert filled(window(0, 5.0), window(1, 5.0)).windows[0].reasoning == "Sharp."


def test_of_many_windows_scores_and_places_alone_are_said():
    windows = filled(*(window(index, 5.0) for index in range(DETAILED_WINDOWS + 2))).windows
    assert len(windows) == DETAILED_WINDOWS + 2
    assert {(each.reasoning, each.score.digits_as_written, each.frame_count) for each in windows} == {("", "", 4)}
