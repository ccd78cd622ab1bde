"""GraphRunner on a CPU, where lanes and graphs are nothing: what it computes must be what LeanRunner computes."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.checkpoint import read_checkpoint
from assay.engine.cache import Cache
from assay.engine.checkpoint import Checkpoint, load_checkpoint
from assay.engine.graph_runner import GraphRunner
from assay.engine.graphs import Graphs, Recording, Step
from assay.engine.lean_runner import LeanRunner
from assay.engine.prompt_tokens import PromptTokens, prompt_tokens
from assay.engine.runner import Feed, Runner
from assay.engine.scheduler import Request, Scheduler
from assay.errors import InvalidRequest
from assay.form import Choice, Digits, Form, Free, Literal
from assay.frame import Clip
from assay.generator import Conversation, Event
from assay.prompt import answer_form, question
from tests.assay.engine.oracle import engine_events, run_of, texts
from tests.assay.engine.test_lean_runner import NANO, trees
from tests.assay.engine.test_sequence import RATE, forms, with_a_model

MakeClip = Callable[..., Clip]
CPU = torch.device("cpu")
CLOSE = {"atol": 1e-4, "rtol": 1e-4}
"""Sums in another order, in float32."""
REASONED = Form(
    (
        *(Literal("Why:"), Free("reason", 12, ()), Literal(" Clutter:"), Choice("clutter", (" a", " b", " cluttered"))),
        *(Literal(" Score:"), Digits("score", 1, 2, lead=" ", branch_probability=0.05)),
    )
)


def graph_runner(checkpoint: Checkpoint, *, seats: int = 4, places: int = 1024, uses_before: int = 0) -> GraphRunner:
    """All shapes are recorded from their first use on: buffers that are used again are what can go wrong."""
    graphs = Graphs(CPU, uses_before=uses_before)
    return GraphRunner(checkpoint.model, seats=seats, places=places, graphs=graphs)


def _prompt(checkpoint: Checkpoint, clip: Clip, asks: Conversation = RATE) -> PromptTokens:
    return prompt_tokens(clip, asks, checkpoint.layout, checkpoint.text)


def together(
    checkpoint: Checkpoint, runner: Runner, wishes: Sequence[tuple[Clip, Conversation, Form]], at_once: int = 0
) -> tuple[list[list[Event]], int]:
    """Events of each request, and the number of forwards."""
    scheduler = Scheduler(checkpoint, runner, at_once or len(wishes), forget=lambda _: None)
    heard: list[list[Event]] = [[] for _ in wishes]
    waiting, forwards = [*enumerate(wishes)], 0
    while waiting or not scheduler.is_idle:
        while waiting and scheduler.room:
            place, (clip, asks, form) = waiting.pop(0)
            scheduler.admit(Request(str(place), clip, asks, form, heard[place].extend))  # type: ignore[arg-type]
        if not scheduler.is_idle:
            scheduler.step()
            forwards += 1
    return heard, forwards


with_few = settings(with_a_model, max_examples=25)


@pytest.fixture(scope="module")
def runner(checkpoint: Checkpoint) -> GraphRunner:
    """One for all, so that buffers, seats and recordings are used again and again."""
    return graph_runner(checkpoint)


@with_few
@given(grown=st.lists(trees(), min_size=1, max_size=4), frames=st.integers(1, 4))
def test_logits_are_those_of_the_lean_runner(
    checkpoint: Checkpoint, runner: GraphRunner, make_clip: MakeClip, grown: list[Feed], frames: int
) -> None:
    prompt = _prompt(checkpoint, make_clip(frames, is_video=frames > 1))
    mine, theirs = Cache(prompt), Cache(prompt)
    lean, before = LeanRunner(checkpoint.model), runner.replays
    feeds = [Feed(0, prompt.ids), *(replace(tree, keep=len(prompt.ids)) for tree in grown)]
    for feed in feeds:
        torch.testing.assert_close(runner.run([(mine, feed)]), lean.run([(theirs, feed)]), **CLOSE)
    assert runner.replays >= before + len(grown)


@with_few
@given(asked=st.lists(st.tuples(forms, st.booleans(), st.integers(0, 3)), min_size=2, max_size=7))
def test_answers_are_token_for_token_those_of_the_lean_runner_whoever_is_beside(
    checkpoint: Checkpoint, runner: GraphRunner, make_clip: MakeClip, asked: list[tuple[Form, bool, int]]
) -> None:
    wishes = [
        (make_clip(3 if is_video else 1, is_video=is_video, seed=picture), RATE, form)
        for form, is_video, picture in asked
    ]
    lean = LeanRunner(checkpoint.model)
    try:
        alone = [engine_events(checkpoint, clip, asks, form, run_of(lean))[0] for clip, asks, form in wishes]
    except InvalidRequest:
        return  # Options that cannot be told apart: see test_grammar.
    heard, _ = together(checkpoint, runner, wishes)
    assert [texts(events) for events in heard] == [texts(events) for events in alone]


def test_several_answers_share_one_forward_and_a_late_one_joins_them(
    checkpoint: Checkpoint, make_clip: MakeClip
) -> None:
    wishes = [(make_clip(seed=seed), RATE, REASONED) for seed in range(6)]
    expected, one_by_one = together(checkpoint, LeanRunner(checkpoint.model), wishes, at_once=1)
    heard, forwards = together(checkpoint, graph_runner(checkpoint), wishes, at_once=3)
    assert [texts(events) for events in heard] == [texts(events) for events in expected]
    assert forwards < 0.6 * one_by_one


def test_more_answers_than_seats_are_read_in_several_forwards(checkpoint: Checkpoint, make_clip: MakeClip) -> None:
    wishes = [(make_clip(seed=seed), RATE, REASONED) for seed in range(5)]
    expected, _ = together(checkpoint, LeanRunner(checkpoint.model), wishes)
    heard, _ = together(checkpoint, graph_runner(checkpoint, seats=2), wishes)
    assert [texts(events) for events in heard] == [texts(events) for events in expected]


def test_an_answer_that_outgrows_the_desk_goes_on_by_itself(checkpoint: Checkpoint, image: Clip) -> None:
    prompt = _prompt(checkpoint, image)
    feeds = [Feed(0, prompt.ids), *(Feed(len(prompt.ids) + 60 * n, (7,) * 60) for n in range(10))]
    mine, theirs = Cache(prompt), Cache(prompt)
    runner, lean = graph_runner(checkpoint, places=512), LeanRunner(checkpoint.model)
    for feed in feeds:
        torch.testing.assert_close(runner.run([(mine, feed)]), lean.run([(theirs, feed)]), **CLOSE)
    assert 0 < runner.replays < 10


def test_a_prompt_is_read_in_pieces_while_others_write(checkpoint: Checkpoint, make_clip: MakeClip) -> None:
    prompt = _prompt(checkpoint, make_clip(4, is_video=True, height=112, width=112))
    (whole,) = LeanRunner(checkpoint.model).run([(Cache(prompt), Feed(0, prompt.ids))])
    runner, cache, feed = graph_runner(checkpoint), Cache(prompt), Feed(0, prompt.ids)
    for piece in (5, 20, 20):
        head, feed = feed.cut(piece)
        runner.run([(cache, head)])
    torch.testing.assert_close(runner.run([(cache, feed)]), [whole], **CLOSE)


def test_what_was_read_and_seen_is_found_again(checkpoint: Checkpoint, video: Clip) -> None:
    wishes = [(video, RATE, REASONED), (video, RATE, Form((Digits("score", 1, 1),)))]
    expected, _ = together(checkpoint, LeanRunner(checkpoint.model), wishes, at_once=1)
    runner = graph_runner(checkpoint)
    heard, _ = together(checkpoint, runner, wishes, at_once=1)
    assert [texts(events) for events in heard] == [texts(events) for events in expected]
    assert runner.counters["prefixes_found"] == 1
    assert runner.counters["frame_groups_missed"] == 2


def test_a_clip_is_seen_once_even_where_nothing_is_kept(checkpoint: Checkpoint, make_clip: MakeClip) -> None:
    prompt = _prompt(checkpoint, make_clip(4, is_video=True))
    runner, cache, feed = GraphRunner(checkpoint.model, 0, seats=1), Cache(prompt), Feed(0, prompt.ids)
    for _ in range(2):
        feed = runner.resume(cache, feed, is_alone=False, waiting=())
    head, feed = feed.cut(20)
    runner.run([(cache, head)])
    runner.run([(cache, feed)])
    assert runner.counters["frame_groups_missed"] == 2
    assert cache.ahead is None


def test_a_graph_is_tried_out_before_the_first_request(
    checkpoint: Checkpoint, image: Clip, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong(step: Step, given: torch.Tensor) -> Recording:
        return Recording(given, torch.zeros_like(step(given)), lambda: None)

    runner = GraphRunner(checkpoint.model, seats=2, graphs=Graphs(CPU, record=wrong))
    runner.settle()
    assert "no CUDA graphs are used: one gave other numbers" in caplog.text
    mine = engine_events(checkpoint, image, RATE, REASONED, run_of(runner))
    assert mine[1] == engine_events(checkpoint, image, RATE, REASONED)[1]


def test_a_good_graph_is_kept(checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture) -> None:
    runner = GraphRunner(checkpoint.model, seats=2)
    runner.settle()
    assert runner.replays == 2
    assert "no CUDA graphs" not in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("frames", [1, 4])
def test_the_shipped_checkpoint_answers_token_for_token_as_the_lean_runner(make_clip: MakeClip, frames: int) -> None:
    checkpoint, served = load_checkpoint(NANO, "cpu"), read_checkpoint(NANO)
    clips = [make_clip(frames, is_video=frames > 1, height=112, width=112, seed=seed) for seed in range(2)]
    form = answer_form(served, "regular")
    wishes = [(clip, Conversation(question(served, "regular", clip.is_video)), form) for clip in clips]
    expected, _ = together(checkpoint, LeanRunner(checkpoint.model), wishes)
    heard, _ = together(checkpoint, graph_runner(checkpoint, uses_before=2), wishes)
    assert [texts(events) for events in heard] == [texts(events) for events in expected]
