"""assay/cli/render.py: judgements and events as text and JSON."""

import json

import pytest

from assay.cli import render
from assay.client import judgement_from_wire
from assay.score import Scale, Score
from assay.v1 import event_pb2
from assay.video import Pooling, PoolingRule
from tests.assay import scripted_gateway as script

SCORE = Score(6.53, 0.41, Scale(0.0, 10.0))


def read(*events: event_pb2.ScoreEvent) -> str:
    text = render.ReasoningText()
    return "".join(text.feed(event) for event in events)


def scored(index: int) -> event_pb2.ScoreEvent:
    return event_pb2.ScoreEvent(window=script.window(index))


def test_a_score_is_a_line():
    assert render.score_line("photo.jpg", SCORE) == "photo.jpg: 6.53 ± 0.41 of 10"


@pytest.mark.parametrize("name", ["a\x1b[2Jb.jpg", "a\nb.jpg", "a\u202eb.jpg"])
def test_a_name_cannot_steer_the_terminal(name):
    assert render.score_line(name, SCORE).startswith("a?")


@pytest.mark.parametrize(("part", "columns"), [(0.0, 0), (0.5, 10), (1.0, 20), (7.0, 20), (-1.0, 0)])
def test_a_bar_is_as_full_as_the_part(part, columns):
    assert render.bar(part).rstrip() == "█" * columns


@pytest.mark.parametrize(("seconds", "text"), [(4.0, "0:04.0"), (59.96, "1:00.0"), (3600.0, "60:00.0")])
def test_time_is_minutes_seconds_and_tenths(seconds, text):
    assert render.clock(seconds) == text


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (PoolingRule(), "mean over windows"),
        (PoolingRule(Pooling.PERCENTILE, percentile=10), "10 % of the time"),
        (PoolingRule(Pooling.WORST, worst_count=3), "worst 3 windows"),
    ],
)
def test_every_way_to_pool_has_words(rule, words):
    assert words in render.pooling_words(rule)


def test_a_grade_has_its_probability_and_words_stand_for_themselves():
    lines = render.attribute_lines(judgement_from_wire(script.result()).attributes)
    assert next(line for line in lines if "clarity" in line).endswith(" 60%")
    assert any(line.endswith("a dog on a beach") for line in lines)


def test_a_video_ends_in_its_worst_and_best_window():
    lines = render.video_lines(judgement_from_wire(script.result(is_video=True)))
    assert [line.split()[-1] for line in lines[2:4]] == ["worst", "best"]


def test_a_picture_is_json_without_the_keys_of_a_video():
    values = json.loads(render.judgement_json("photo.jpg", judgement_from_wire(script.result())))
    assert (values["file"], values["score"]["value"], "pooling" in values) == ("photo.jpg", pytest.approx(6.53), False)


def test_a_video_is_json_with_every_window():
    values = json.loads(render.judgement_json("a.mp4", judgement_from_wire(script.result(is_video=True))))
    assert (values["pooling"], len(values["windows"]), values["worst"]["window_index"]) == ({"method": "mean"}, 2, 0)


def test_a_failure_is_json_with_its_reason():
    assert json.loads(render.error_json("a.jpg", "BAD_MEDIA", "no picture"))["error"]["reason"] == "BAD_MEDIA"


def test_the_reasoning_of_each_window_has_its_number():
    events = [
        script.reasoning("one ", 0),
        script.reasoning("two", 0),
        scored(0),
        script.reasoning("three\n", 1),
        scored(1),
    ]
    assert read(script.started(is_video=True), *events) == "window 0\none two\nwindow 1\nthree\n"


def test_of_a_picture_no_window_is_named():
    assert read(script.started(), script.reasoning(" Sharp.", 0), scored(0)) == "Sharp.\n"
