"""What was read for one request is found for the next, and the answer is the same to the last bit as without."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from assay.decoding.event_stream import EngineRequest
from assay.decoding.speculation import Speculation
from assay.engine.model.loading import LoadedModel
from assay.engine.model_runner import ModelRunner
from assay.engine.scheduler import Scheduler
from assay.form import Choice, Digits, Form, Free, Literal
from assay.frame import Clip, Frame
from assay.generator import Conversation, Event, Finished, Wrote
from benchmarks.engine.profile import Timed

MakeClip = Callable[..., Clip]
RATE, WHY = Conversation("Rate this image."), Conversation("Why?")
REASONED = Form(
    (Literal("Why:"), Free("reason", 12, ()), Literal(" Clutter:"), Choice("clutter", (" a", " b", " cluttered")))
)
SCORE = Form((Digits("score", 1, 2, lead=" ", branch_probability=0.05),))


def _answers(
    checkpoint: LoadedModel, runner: ModelRunner, *requests: tuple[Clip, Conversation, Form], at_once: int = 1
) -> list[list[Event]]:
    scheduler = Scheduler(checkpoint, runner, forget=lambda _: None)
    heard: list[list[Event]] = [[] for _ in requests]
    for place, (clip, asks, form) in enumerate(requests):
        scheduler.admit(EngineRequest(str(place), clip, asks, form, heard[place].extend))  # type: ignore[arg-type]
        while scheduler.running >= at_once:
            scheduler.step()
    while not scheduler.is_idle:
        scheduler.step()
    return heard


def _texts(events: Sequence[Event]) -> tuple[str, ...]:
    """As attribute extraction writes them down: a text for each segment."""
    texts: list[str] = []
    last = ""
    for event in events:
        if isinstance(event, Wrote):
            if event.segment and event.segment == last:
                texts[-1] += event.text
            else:
                texts.append(event.text)
            last = event.segment
    return tuple(texts)


def test_a_conversation_goes_on_where_the_other_service_ended(checkpoint: LoadedModel, video: Clip) -> None:
    runner = ModelRunner(checkpoint.model)
    (reasoned,) = _answers(checkpoint, runner, (video, RATE, REASONED))
    last = reasoned[-1]
    assert isinstance(last, Finished)
    goes_on = (video, Conversation(RATE.question, answered=_texts(reasoned)), SCORE)
    found = _answers(checkpoint, runner, goes_on)
    assert runner.counters["prefixes_found"] == 1
    # The rest of what this random model wrote are tokens that no text is read as.
    assert runner.counters["prefix_tokens_found"] >= last.prompt_tokens + len("Why:")
    assert found == _answers(checkpoint, ModelRunner(checkpoint.model, cache_bytes=0), goes_on)


@pytest.mark.parametrize("at_once", [1, 4])
def test_another_question_about_the_clip_reads_the_clip_no_more(
    checkpoint: LoadedModel, video: Clip, at_once: int
) -> None:
    runner = ModelRunner(checkpoint.model)
    requests = [(video, asks, form) for asks in (RATE, WHY) for form in (SCORE, REASONED)]
    together = _answers(checkpoint, runner, *requests, at_once=at_once)
    assert runner.counters["prefixes_found"] == 3
    assert runner.counters["frame_groups_missed"] == 2
    alone = [_answers(checkpoint, ModelRunner(checkpoint.model, cache_bytes=0), request)[0] for request in requests]
    assert together == alone


def test_a_live_window_looks_at_its_new_frames_only(checkpoint: LoadedModel, make_clip: MakeClip) -> None:
    pixels = [frame.pixels for frame in make_clip(12, is_video=True).frames]
    windows = [
        Clip(tuple(Frame(each, 0.5 * n) for n, each in enumerate(pixels[first : first + 8])), is_video=True)
        for first in (0, 2, 4)
    ]
    runner = ModelRunner(checkpoint.model)
    answers = _answers(checkpoint, runner, *((window, RATE, SCORE) for window in windows))
    assert (runner.counters["frame_groups_missed"], runner.counters["frame_groups_found"]) == (6, 6)
    for window, answer in zip(windows, answers, strict=True):
        assert _answers(checkpoint, ModelRunner(checkpoint.model, cache_bytes=0), (window, RATE, SCORE)) == [answer]


def test_another_clip_with_the_same_question_finds_nothing(checkpoint: LoadedModel, make_clip: MakeClip) -> None:
    runner = ModelRunner(checkpoint.model)
    _answers(checkpoint, runner, *((make_clip(seed=seed), RATE, SCORE) for seed in range(3)))
    assert (runner.counters["prefixes_found"], runner.counters["frame_groups_found"]) == (0, 0)


def test_what_was_read_for_one_tenant_is_found_by_the_same_alone(checkpoint: LoadedModel, video: Clip) -> None:
    runner = ModelRunner(checkpoint.model)
    asks = [replace(RATE, tenant=tenant) for tenant in ("", "acme", "acme and sons", "acme")]
    answers = _answers(checkpoint, runner, *((video, each, SCORE) for each in asks))
    assert answers == [answers[0]] * 4
    assert (runner.counters["prefixes_found"], runner.counters["prefixes_missed"]) == (1, 3)
    assert runner.counters["frame_groups_missed"] == 3 * 2


def test_what_one_tenant_was_answered_is_no_draft_for_another(checkpoint: LoadedModel, image: Clip) -> None:
    drafts, forwards = Speculation(), list[int]()
    for tenant in ("acme", "others", "acme"):
        runner = Timed(checkpoint.model)
        scheduler = Scheduler(checkpoint, runner, forget=lambda _: None, speculation=drafts)
        scheduler.admit(EngineRequest("0", image, replace(RATE, tenant=tenant), REASONED, on_events=lambda _: None))
        while not scheduler.is_idle:
            scheduler.step()
        forwards.append(len(runner.spent))
    assert forwards[0] == forwards[1] > forwards[2]


def test_frames_of_another_shape_are_other_frames(checkpoint: LoadedModel, make_clip: MakeClip) -> None:
    (frame,) = make_clip(height=56, width=84).frames
    turned = Clip((Frame(frame.pixels.reshape(84, 56, 3), 0.0),), is_video=False)
    runner = ModelRunner(checkpoint.model)
    _answers(checkpoint, runner, (Clip((frame,), is_video=False), RATE, SCORE), (turned, RATE, SCORE))
    assert runner.counters["frame_groups_found"] == 0


def test_memory_stays_below_its_bound(checkpoint: LoadedModel, make_clip: MakeClip) -> None:
    runner = ModelRunner(checkpoint.model, cache_bytes=1 << 20)
    _answers(checkpoint, runner, *((make_clip(seed=seed), RATE, SCORE) for seed in range(12)))
    held = runner.counters["prefix_bytes"] + runner.counters["frame_group_bytes"]
    assert runner.counters["prefixes_evicted"] >= 4
    assert held <= 1 << 20
