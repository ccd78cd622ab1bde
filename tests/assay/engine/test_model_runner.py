from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay.checkpoint import read_checkpoint
from assay.decoding.event_stream import EngineRequest
from assay.decoding.token_tree import TokenTree
from assay.engine.kv_cache import SequenceState
from assay.engine.model.loading import LoadedModel, load_model
from assay.engine.model_runner import ModelRunner
from assay.engine.scheduler import Scheduler
from assay.errors import CheckpointError, InvalidRequest
from assay.form import Choice, Form, Literal, Reading
from assay.frame import Clip
from assay.generator import Conversation, Event, Finished
from assay.prompt import answer_form, question
from assay.qwen2_vl.prompt_tokens import PromptTokens, prompt_tokens
from tests.assay.decoding.test_sequence import RATE, forms, with_a_model
from tests.assay.engine.oracle import engine_events, run_of, texts
from tests.assay.engine.transformers_runner import TransformersRunner
from tests.tiny_checkpoint import write_tiny_checkpoint

NANO = Path(__file__).parents[3] / "checkpoints" / "nano"
MakeClip = Callable[..., Clip]


@pytest.fixture(scope="module")
def lean(checkpoint: LoadedModel) -> ModelRunner:
    return ModelRunner(checkpoint.model)


def _prompt(checkpoint: LoadedModel, clip: Clip, asks: Conversation = RATE) -> PromptTokens:
    return prompt_tokens(clip, asks, checkpoint.layout, checkpoint.text)


@st.composite
def trees(draw: st.DrawFn) -> TokenTree:
    """A feed of a few random tokens, each behind any of those in front of it."""
    count = draw(st.integers(1, 12))
    parents = tuple(draw(st.integers(-1, place - 1)) for place in range(count))
    looks = tuple(draw(st.sets(st.integers(0, count - 1), min_size=1)))
    return TokenTree(0, tuple(draw(st.lists(st.integers(0, 280), min_size=count, max_size=count))), parents, looks)


@with_a_model
@given(tree=trees(), seed=st.integers(0, 3), frames=st.integers(1, 5))
def test_logits_are_those_of_transformers(
    checkpoint: LoadedModel, make_clip: MakeClip, tree: TokenTree, seed: int, frames: int
) -> None:
    prompt = _prompt(checkpoint, make_clip(frames, is_video=frames > 1, seed=seed))
    read = TokenTree(0, prompt.ids)
    behind = TokenTree(len(prompt.ids), tree.token_ids, tree.parents, tree.logit_positions)
    mine, theirs = SequenceState(prompt), SequenceState(prompt)
    lean, reference = ModelRunner(checkpoint.model), TransformersRunner(checkpoint.model)
    for feed in (read, behind):
        torch.testing.assert_close(lean.run([(mine, feed)]), reference.run([(theirs, feed)]), atol=1e-4, rtol=1e-4)


@with_a_model
@pytest.mark.usefixtures("two_threads")
@given(
    asked=st.lists(st.tuples(forms, st.booleans(), st.integers(0, 3)), min_size=2, max_size=4), seed=st.integers(0, 5)
)
def test_answers_are_the_same_to_the_last_bit_in_every_batch(
    tmp_path_factory: pytest.TempPathFactory,
    make_clip: MakeClip,
    asked: list[tuple[Form, bool, int]],
    seed: int,
) -> None:
    checkpoint = _random_checkpoint(tmp_path_factory, seed)
    lean = ModelRunner(checkpoint.model)
    lean.warm_up()
    wishes = [
        (make_clip(3 if is_video else 1, is_video=is_video, seed=picture), form) for form, is_video, picture in asked
    ]
    try:
        alone = [engine_events(checkpoint, clip, RATE, form, run_of(lean))[0] for clip, form in wishes]
    except InvalidRequest:
        return  # Options that cannot be distinguished: see test_grammar.
    assert _together(checkpoint, lean, wishes) == alone


def test_no_answer_depends_on_batch_mates_on_this_machine(checkpoint: LoadedModel) -> None:
    lean = ModelRunner(checkpoint.model)
    lean.warm_up()
    assert lean.warnings == ()


def test_no_answer_in_bfloat16_depends_on_batch_mates_on_this_machine(checkpoint: LoadedModel) -> None:
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this processor has no products of bfloat16")
    lean = ModelRunner(checkpoint.model, number_format="bfloat16")
    lean.warm_up()
    assert lean.warnings == ()


def test_an_answer_says_so_where_it_may_depend_on_batch_mates(
    checkpoint: LoadedModel, image: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.engine.model.attention.attend", lambda q, keys, values, mask: q + keys.shape[1])
    lean = ModelRunner(checkpoint.model)
    lean.warm_up()
    ((*_, finished),) = _together(checkpoint, lean, [(image, Form((Choice("grade", (" a", " b")),)))])
    assert isinstance(finished, Finished)
    assert "what else is asked at the same time" in finished.warnings[0]


_CHECKPOINTS: dict[int, LoadedModel] = {}


def _random_checkpoint(tmp_path_factory: pytest.TempPathFactory, seed: int) -> LoadedModel:
    if seed not in _CHECKPOINTS:
        directory = write_tiny_checkpoint(tmp_path_factory.mktemp(f"random-{seed}"), seed=100 + seed)
        _CHECKPOINTS[seed] = load_model(directory)
    return _CHECKPOINTS[seed]


def _together(checkpoint: LoadedModel, lean: ModelRunner, wishes: Sequence[tuple[Clip, Form]]) -> list[list[Event]]:
    """Events of each request, all in flight at once."""
    scheduler = Scheduler(checkpoint, lean, forget=lambda _: None)
    heard: list[list[Event]] = [[] for _ in wishes]
    for place, (clip, form) in enumerate(wishes):
        scheduler.admit(EngineRequest(str(place), clip, RATE, form, heard[place].extend))  # type: ignore[arg-type]
    while not scheduler.is_idle:
        scheduler.step()
    return heard


def test_logits_in_bfloat16_stay_close_to_the_stored_ones(checkpoint: LoadedModel, video: Clip) -> None:
    feed = TokenTree(0, _prompt(checkpoint, video).ids)
    stored, rounded = (
        ModelRunner(checkpoint.model, number_format=each).run([(SequenceState(_prompt(checkpoint, video)), feed)])[0]
        for each in ("stored", "bfloat16")
    )
    assert 0 < float((rounded - stored).norm() / stored.norm()) < 0.05


@pytest.mark.parametrize("pieces", [(1, 2, 3), (7,), (4, 4, 4, 4), (30, 1)])
def test_logits_are_the_same_to_the_last_bit_in_whatever_pieces_a_prompt_is_read(
    checkpoint: LoadedModel, lean: ModelRunner, video: Clip, pieces: tuple[int, ...]
) -> None:
    prompt = _prompt(checkpoint, video)
    feed = TokenTree(0, prompt.ids)
    (whole,) = lean.run([(SequenceState(prompt), feed)])
    cache = SequenceState(prompt)
    for piece in pieces:
        head, feed = feed.split(piece)
        lean.run([(cache, head)])
    (last,) = lean.run([(cache, feed)])
    assert torch.equal(last, whole)


def test_a_long_answer_outgrows_its_first_memory(checkpoint: LoadedModel, lean: ModelRunner, image: Clip) -> None:
    prompt = _prompt(checkpoint, image)
    feeds = [TokenTree(0, prompt.ids), *(TokenTree(len(prompt.ids) + 100 * n, (7,) * 100) for n in range(6))]
    mine, theirs, reference = SequenceState(prompt), SequenceState(prompt), TransformersRunner(checkpoint.model)
    for feed in feeds:
        (last,), (expected,) = lean.run([(mine, feed)]), reference.run([(theirs, feed)])
    torch.testing.assert_close(last, expected, atol=1e-4, rtol=1e-4)


def test_placeholders_in_an_answer_are_no_clip(checkpoint: LoadedModel, lean: ModelRunner, image: Clip) -> None:
    prompt, pad = _prompt(checkpoint, image), checkpoint.text.special.image_pad
    cache = SequenceState(prompt)
    (logits,) = lean.run([(cache, TokenTree(0, (*prompt.ids, pad, pad)))])
    assert bool(logits.isfinite().all())


def test_a_model_with_another_activation_is_refused_by_name(checkpoint: LoadedModel) -> None:
    config = checkpoint.model.config.get_text_config()
    before, config.hidden_act = config.hidden_act, "gelu"
    try:
        with pytest.raises(CheckpointError, match="our own engine cannot run this checkpoint: hidden_act 'gelu'"):
            ModelRunner(checkpoint.model)
    finally:
        config.hidden_act = before


@pytest.mark.parametrize("reading", get_args(Reading))
@pytest.mark.parametrize("seed", range(4))
def test_both_runners_choose_alike(checkpoint: LoadedModel, make_clip: MakeClip, reading: Reading, seed: int) -> None:
    options = (" cluttered", " clutter", " a", " a.", "\n")
    choices = [Choice(f"{n}", options[n:] + options[:n], reading) for n in range(4)]
    form = Form(tuple(segment for choice in choices for segment in (choice, Literal(" c"))))
    mine, theirs = (
        engine_events(checkpoint, make_clip(seed=seed), RATE, form, run_of(runner))
        for runner in (ModelRunner(checkpoint.model), TransformersRunner(checkpoint.model))
    )
    assert mine[1] == theirs[1]
    assert texts(mine[0]) == texts(theirs[0])


@pytest.mark.slow
@pytest.mark.parametrize("frames", [1, 4])
def test_the_shipped_checkpoint_answers_token_for_token_as_transformers(make_clip: MakeClip, frames: int) -> None:
    checkpoint, served = load_model(NANO), read_checkpoint(NANO)
    clip = make_clip(frames, is_video=frames > 1, height=112, width=112)
    asks = Conversation(question(served, "regular", clip.is_video))
    form = answer_form(served, "regular")
    mine, theirs = (
        engine_events(checkpoint, clip, asks, form, run_of(runner))
        for runner in (ModelRunner(checkpoint.model), TransformersRunner(checkpoint.model))
    )
    assert mine[1] == theirs[1]
    assert texts(mine[0]) == texts(theirs[0])
