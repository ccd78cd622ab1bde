import asyncio
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from assay.engine import Engine, EngineOptions
from assay.engine.engine import give_back_memory
from assay.engine.kv_cache import ScheduledStep
from assay.engine.model.loading import LoadedModel
from assay.engine.model.number_format import NumberFormatName
from assay.engine.model_runner import ModelRunner
from assay.errors import AssayError, Busy, InvalidRequest, ModelUnavailable, OutOfTime
from assay.form import Choice, Digits, Form, Free, Literal
from assay.frame import Clip
from assay.generator import Conversation, Event, Finished
from assay.weights import fingerprint
from tests.assay.engine.oracle import engine_events

RATE = Conversation("Rate this image.")
FORM = Form((Literal("Clutter:"), Choice("clutter", (" a", " b")), Literal("."), Digits("score", 1, 2, lead=" ")))
LONG = Form((Free("text", 1500, ()),))


@dataclass
class Listener:
    """Keeps what it hears, and can be waited for."""

    heard: list[Event | AssayError | None] = field(default_factory=list)
    at_once: list[int] = field(default_factory=list)
    """How many events came with each call."""
    threads: set[str] = field(default_factory=set)
    started: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def __call__(self, events: Sequence[Event | AssayError | None]) -> None:
        self.heard.extend(events)
        self.at_once.append(len(events))
        self.threads.add(threading.current_thread().name)
        self.started.set()
        if events[-1] is None or isinstance(events[-1], AssayError | Finished):
            self.ended.set()

    def wait(self) -> list[Event | AssayError | None]:
        assert self.ended.wait(20), f"no end after {self.heard[-3:]}"
        return self.heard


def _submit(engine: Engine, request_id: str, clip: Clip, form: Form = FORM, asks: Conversation = RATE) -> Listener:
    listener = Listener()
    engine.submit(request_id, clip, asks, form, listener)
    return listener


def test_submit_tells_what_the_sequence_writes(engine: Engine, checkpoint: LoadedModel, image: Clip) -> None:
    assert _submit(engine, "a", image).wait() == engine_events(checkpoint, image, RATE, FORM)[0]


def test_events_of_one_forward_come_at_once_and_those_of_the_next_do_not(engine: Engine, image: Clip) -> None:
    listener = _submit(engine, "a", image)
    # The literal; the option, its probabilities and the point; the number as text, its probabilities and the end.
    assert (len(listener.wait()), listener.at_once) == (7, [1, 3, 3])


def test_events_come_on_the_thread_of_the_engine(engine: Engine, image: Clip) -> None:
    listener = _submit(engine, "a", image)
    listener.wait()
    assert listener.threads == {"assay-engine-0"}


def test_two_workers_share_what_is_new_and_answer_as_one(
    tiny_directory: Path, engine: Engine, make_clip: Callable[..., Clip]
) -> None:
    both = Engine.load(tiny_directory, EngineOptions(threads=2))
    clips = [make_clip(seed=seed) for seed in range(4)]
    listeners = [_submit(both, f"{number}", clip, LONG) for number, clip in enumerate(clips)]
    heard = [listener.wait() for listener in listeners]
    both.close()
    alone = [_submit(engine, f"{number}", clip, LONG).wait() for number, clip in enumerate(clips)]
    assert (heard, sorted(thread for each in listeners for thread in each.threads)) == (
        alone,
        ["assay-engine-0", "assay-engine-0", "assay-engine-1", "assay-engine-1"],
    )


def test_a_second_question_about_a_picture_goes_to_the_worker_that_has_it(
    tiny_directory: Path, image: Clip, make_clip: Callable[..., Clip]
) -> None:
    both = Engine.load(tiny_directory, EngineOptions(threads=2))
    first = _submit(both, "first", image, LONG)
    assert first.started.wait(20)
    # The other worker has nothing to do; this one has its frames in the cache.
    second = _submit(both, "second", image, FORM, Conversation("How sharp is it?"))
    second.wait()
    both.cancel("first")
    first.wait()
    counters = both.counters
    both.close()
    assert (second.threads, counters["frame_groups_missed"]) == (first.threads, 1)


def test_closing_two_workers_ends_what_both_write(tiny_directory: Path, make_clip: Callable[..., Clip]) -> None:
    both = Engine.load(tiny_directory, EngineOptions(threads=2))
    listeners = [_submit(both, f"{seed}", make_clip(seed=seed), LONG) for seed in range(2)]
    assert all(listener.started.wait(20) for listener in listeners)
    both.close()
    assert [type(listener.wait()[-1]) for listener in listeners] == [ModelUnavailable] * 2


def test_an_engine_of_few_in_flight_has_one_worker(tiny_directory: Path, make_clip: Callable[..., Clip]) -> None:
    small = Engine.load(tiny_directory, EngineOptions(threads=2, max_in_flight=4))
    listeners = [_submit(small, f"{seed}", make_clip(seed=seed)) for seed in range(4)]
    heard = [listener.wait() for listener in listeners]
    small.close()
    assert len(heard) == 4
    assert {thread for each in listeners for thread in each.threads} == {"assay-engine-0"}


def test_several_in_flight_get_the_answers_they_get_alone(
    engine: Engine, checkpoint: LoadedModel, make_clip: Callable[..., Clip], video: Clip
) -> None:
    forms = [FORM, Form((Free("text", 30, ("\n",)), Literal("end"))), Form((Free("text", 40, ()),))]
    clips = [make_clip(seed=1), make_clip(seed=2, height=84), video]
    listeners = [_submit(engine, f"{n}", clips[n % 3], forms[n // 2]) for n in range(6)]
    alone = [engine_events(checkpoint, clips[n % 3], RATE, forms[n // 2])[0] for n in range(6)]
    assert [listener.wait() for listener in listeners] == alone


def test_a_short_answer_does_not_wait_for_a_long_one(engine: Engine, image: Clip) -> None:
    long = _submit(engine, "long", image, LONG)
    _submit(engine, "short", image).wait()
    assert not long.ended.is_set()


def test_a_cancelled_request_hears_none_and_no_more(engine: Engine, image: Clip) -> None:
    listener = _submit(engine, "a", image, LONG)
    assert listener.started.wait(20)
    engine.cancel("a")
    assert listener.wait()[-1] is None
    assert len(listener.heard) < 1500


def test_a_waiting_request_can_be_cancelled(engine: Engine, image: Clip) -> None:
    long = [_submit(engine, f"{n}", image, LONG) for n in range(4)]
    waiting = _submit(engine, "waiting", image, LONG)
    engine.cancel("waiting")
    assert waiting.wait() == [None]
    assert not any(listener.ended.is_set() for listener in long)


def test_cancelling_an_unknown_id_is_ignored(engine: Engine, image: Clip) -> None:
    engine.cancel("never heard of")
    assert isinstance(_submit(engine, "a", image).wait()[-1], Finished)


def test_a_full_queue_is_busy(engine: Engine, image: Clip) -> None:
    for n in range(6):
        _submit(engine, f"{n}", image, LONG)
    with pytest.raises(Busy, match="6 requests are in flight or waiting"):
        _submit(engine, "one more", image)


def test_a_place_is_free_when_a_request_has_ended(engine: Engine, image: Clip) -> None:
    listeners = [_submit(engine, f"{n}", image, LONG) for n in range(6)]
    engine.cancel("3")
    listeners[3].wait()
    assert _submit(engine, "3", image)


def test_an_id_in_use_is_refused(engine: Engine, image: Clip) -> None:
    _submit(engine, "a", image, LONG)
    with pytest.raises(InvalidRequest, match="request id 'a' is in use"):
        _submit(engine, "a", image)


def test_a_wrong_request_fails_and_the_others_go_on(
    engine: Engine, image: Clip, make_clip: Callable[..., Clip]
) -> None:
    good, bad = _submit(engine, "good", image), _submit(engine, "bad", make_clip(height=50))
    (complaint,) = bad.wait()
    assert isinstance(complaint, InvalidRequest)
    assert isinstance(good.wait()[-1], Finished)


def test_a_failing_forward_ends_one_request_only(
    engine: Engine, image: Clip, video: Clip, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = ModelRunner.run

    def fails_on_video(self: ModelRunner, turns: Sequence[ScheduledStep]) -> list[torch.Tensor]:
        if any(cache.prompt.is_video for cache, _ in turns):
            raise RuntimeError("DefaultCPUAllocator: not enough memory at 0x7f")
        return run(self, turns)

    monkeypatch.setattr(ModelRunner, "run", fails_on_video)
    good, bad = _submit(engine, "good", image), _submit(engine, "bad", video)
    failure = bad.wait()[-1]
    assert isinstance(failure, ModelUnavailable)
    assert "0x7f" not in failure.message
    assert isinstance(good.wait()[-1], Finished)
    assert "0x7f" in caplog.text


class Gone(Listener):
    """Cannot be reached any more."""

    def __call__(self, events: Sequence[Event | AssayError | None]) -> None:
        super().__call__(events)
        raise ConnectionResetError("the client has left")


def test_a_listener_that_fails_cancels_its_request(engine: Engine, image: Clip) -> None:
    gone = Gone()
    engine.submit("gone", image, RATE, LONG, gone)
    assert gone.wait()[-1] is None
    assert len(gone.at_once) == 2


def test_a_listener_that_fails_leaves_the_others_alone(engine: Engine, image: Clip) -> None:
    engine.submit("gone", image, RATE, LONG, Gone())
    assert isinstance(_submit(engine, "a", image).wait()[-1], Finished)


def test_a_listener_may_submit_again_under_the_same_id(engine: Engine, image: Clip) -> None:
    second = Listener()

    def again(events: Sequence[Event | AssayError | None]) -> None:
        if isinstance(events[-1], Finished):
            engine.submit("a", image, RATE, FORM, second)

    engine.submit("a", image, RATE, FORM, again)
    assert isinstance(second.wait()[-1], Finished)


async def test_generate_yields_the_same_events(engine: Engine, checkpoint: LoadedModel, video: Clip) -> None:
    events = [event async for event in engine.generate(video, RATE, FORM)]
    assert events == engine_events(checkpoint, video, RATE, FORM)[0]


async def test_closing_generate_cancels(engine: Engine, image: Clip) -> None:
    for _ in range(8):  # More than there is room for: each has to make place for the next.
        events = engine.generate(image, RATE, LONG)
        await anext(events)
        await events.aclose()
        await asyncio.sleep(0.05)


async def test_cancelling_the_task_cancels_the_request(engine: Engine, image: Clip) -> None:
    async def read() -> None:
        async for _ in engine.generate(image, RATE, LONG):
            pass

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(read(), 0.05)
    await asyncio.to_thread(_wait_until_empty, engine)


def _wait_until_empty(engine: Engine) -> None:
    for _ in range(200):
        if not engine._requests:
            return
        threading.Event().wait(0.05)
    pytest.fail("the request is still in flight")


async def test_generate_raises_what_is_wrong(engine: Engine, make_clip: Callable[..., Clip]) -> None:
    with pytest.raises(InvalidRequest, match="multiples of 28 px"):
        await anext(engine.generate(make_clip(width=85), RATE, FORM))


@pytest.mark.parametrize(("number_format", "suffix"), [("auto", ""), ("stored", ""), ("bfloat16", "-bfloat16")])
def test_the_fingerprint_says_in_what_numbers_an_answer_was_computed(
    tiny_directory: Path, image: Clip, number_format: NumberFormatName, suffix: str
) -> None:
    engine = Engine.load(tiny_directory, EngineOptions(threads=1, number_format=number_format))
    finished = _submit(engine, "a", image).wait()[-1]
    engine.close()
    assert isinstance(finished, Finished)
    assert finished.checkpoint_fingerprint == f"{fingerprint(tiny_directory)}{suffix}"


def test_closing_ends_what_is_in_flight(tiny_directory: Path, image: Clip) -> None:
    engine = Engine.load(tiny_directory, EngineOptions(threads=1))
    listener = _submit(engine, "a", image, LONG)
    engine.close()
    assert isinstance(listener.wait()[-1], ModelUnavailable)


def test_a_closed_engine_takes_no_requests(engine: Engine, image: Clip) -> None:
    engine.close()
    engine.close()
    with pytest.raises(ModelUnavailable, match="shutting down"):
        _submit(engine, "a", image)


@pytest.mark.parametrize("is_going_on", [False, True])
def test_the_more_urgent_request_is_taken_first(tiny_directory: Path, image: Clip, is_going_on: bool) -> None:
    engine = Engine.load(tiny_directory, EngineOptions(threads=1, max_in_flight=1, max_waiting=3))
    order: list[str] = []

    def submit(request_id: str, asks: Conversation = RATE, priority: int = 0) -> Listener:
        listener = Listener()

        def on_events(events: Sequence[Event | AssayError | None]) -> None:
            if isinstance(events[-1], Finished):
                order.append(request_id)
            listener(events)

        engine.submit(request_id, image, asks, FORM, on_events, priority=priority)
        return listener

    running = _submit(engine, "running", image, LONG)
    assert running.started.wait(20)
    # Somebody has been waiting for a conversation that goes on.
    waiting = [submit("new"), submit("going on", Conversation("Rate this image.", answered=("Sharp.",)))]
    if not is_going_on:
        waiting.append(submit("urgent", priority=2))
    engine.cancel("running")
    for listener in waiting:
        listener.wait()
    engine.close()
    assert order == (["going on", "new"] if is_going_on else ["urgent", "going on", "new"])


@pytest.mark.parametrize("seconds", [0.0, 0.2], ids=["waiting", "running"])
def test_what_cannot_end_in_time_is_dropped(engine: Engine, image: Clip, seconds: float) -> None:
    listener = Listener()
    engine.submit("late", image, RATE, LONG, listener, deadline_seconds=time.monotonic() + seconds)
    assert isinstance(listener.wait()[-1], OutOfTime)


def test_the_stages_of_an_answer_follow_one_another(engine: Engine, image: Clip) -> None:
    listener, stages = Listener(), list[tuple[str, float, float]]()
    engine.submit("a", image, RATE, FORM, listener, on_stage=lambda *stage: stages.append(stage))
    listener.wait()
    assert [name for name, *_ in stages] == ["queue", "vision", "prefill", "decode steps"]
    assert all(end == begin for (*_, end), (_, begin, _) in pairwise(stages))


def test_what_was_cached_is_counted(engine: Engine, video: Clip) -> None:
    for request_id in "ab":
        _submit(engine, request_id, video).wait()
    counters = engine.counters
    assert (counters["prefixes_found"], counters["prefixes_missed"]) == (1, 1)
    assert counters["prefix_tokens_found"] > 50


def test_what_was_freed_below_something_that_stays_is_given_back():
    def resident_bytes() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    freed = [torch.ones(20_000) for _ in range(2_000)]  # 160 MB, each too small for pages of its own
    stays = torch.ones(20_000)  # above them: the heap does not shrink by itself
    before = resident_bytes()
    freed.clear()
    give_back_memory()
    assert (before - resident_bytes() > 100_000_000, len(stays)) == (True, 20_000)
