"""Who is read first: on an idle machine a number alone comes before the reasoning about the same clip."""

from collections.abc import Sequence

import pytest

from assay.decoding.event_stream import EngineEvent, EngineRequest
from assay.engine.model.loading import LoadedModel
from assay.engine.model_runner import ModelRunner
from assay.engine.scheduler import Scheduler
from assay.form import Choice, Digits, Form, Free, Literal
from assay.frame import Clip
from assay.generator import Conversation, Finished

QUESTIONS = [Conversation("How good is this picture? " * times) for times in (1, 12)]
"""Read in one forward with others, and in chunks."""
NUMBER = Form((Literal("It is"), Digits("score", 1, 1, lead=" ")))
REASONED = Form((Literal("It is"), Choice("grade", (" good", " bad")), Free("reason", 5, ("\n",))))


class Heard:
    """A scheduler, and which requests had events, in order; `end:ID` at the last one."""

    def __init__(self, checkpoint: LoadedModel, runner: ModelRunner, question: Conversation = QUESTIONS[1]) -> None:
        self.question = question
        self.scheduler = Scheduler(checkpoint, runner, forget=lambda _: None)
        self.order: list[str] = []

    def admit(self, name: str, clip: Clip, form: Form) -> None:
        def on_events(events: Sequence[EngineEvent]) -> None:
            self.order.append(f"end:{name}" if isinstance(events[-1], Finished) else name)

        self.scheduler.admit(EngineRequest(name, clip, self.question, form, on_events))

    def run(self) -> None:
        while not self.scheduler.is_idle:
            self.scheduler.step()


@pytest.fixture(params=QUESTIONS, ids=["short", "long"])
def heard(checkpoint: LoadedModel, request: pytest.FixtureRequest) -> Heard:
    return Heard(checkpoint, ModelRunner(checkpoint.model), request.param)


@pytest.mark.parametrize("steps_before", [0, 1])
def test_a_number_alone_is_written_before_the_reasoning_that_was_asked_for_first(
    heard: Heard, image: Clip, steps_before: int
) -> None:
    heard.admit("reasoned", image, REASONED)
    for _ in range(steps_before):  # its picture goes through the tower
        heard.scheduler.step()
    heard.admit("number", image, NUMBER)
    forced = len(heard.order)  # events that are certain before anything is read
    heard.run()
    assert "reasoned" not in heard.order[forced : heard.order.index("end:number")]


def test_a_reasoned_answer_is_not_held_back_by_numbers_for_ever(heard: Heard, image: Clip) -> None:
    heard.admit("reasoned", image, REASONED)
    for count in range(60):
        if heard.scheduler.running < 2:
            heard.admit(f"number {count}", image, NUMBER)
        heard.scheduler.step()
    assert "end:reasoned" in heard.order


def test_the_picture_of_two_requests_goes_through_the_tower_once(checkpoint: LoadedModel, image: Clip) -> None:
    runner = ModelRunner(checkpoint.model)
    heard = Heard(checkpoint, runner)
    heard.admit("reasoned", image, REASONED)
    heard.admit("number", image, NUMBER)
    heard.run()
    assert runner.counters["frame_groups_missed"] == 1


def test_a_picture_that_the_tower_fails_on_ends_its_own_request_alone(
    checkpoint: LoadedModel, image: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = ModelRunner(checkpoint.model)
    heard, embed = Heard(checkpoint, runner), runner.encoder_cache.vision.embed

    def fail_once(*args: object) -> object:
        monkeypatch.setattr(runner.encoder_cache.vision, "embed", embed)
        raise RuntimeError("out of memory")

    monkeypatch.setattr(runner.encoder_cache.vision, "embed", fail_once)
    heard.admit("fails", image, NUMBER)
    heard.run()
    heard.admit("number", image, NUMBER)
    heard.run()
    assert heard.order.count("end:number") == 1
    assert "end:fails" not in heard.order
