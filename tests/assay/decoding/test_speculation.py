"""Speculation change how many forwards an answer takes, and not one bit of it."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.decoding.sequence import Sequence
from assay.decoding.speculation import DraftAnswer, PromptLookup, Speculation, UsualOption
from assay.decoding.token_tree import TokenDistribution, TokenTree
from assay.engine.kv_cache import SequenceState
from assay.engine.model.loading import LoadedModel
from assay.engine.model_runner import Logits, ModelRunner
from assay.errors import InvalidRequest
from assay.form import Choice, Digits, Form, Free, Literal
from assay.frame import Clip, Frame
from assay.generator import Chose, Event
from tests.assay.decoding.test_sequence import RATE, forms, with_a_model

MakeClip = Callable[..., Clip]
FORM = Form(
    (
        *(Literal("Why:"), Free("reason", 9, ("zz",)), Literal("\nClutter:")),
        *(Choice("clutter", (" a", " b", " cluttered", " clutter")), Literal("."), Digits("score", 1, 2, " ", 0.05)),
    )
)


def _written(
    checkpoint: LoadedModel, clip: Clip, form: Form, drafts: Speculation | None
) -> tuple[list[Event], tuple[int, ...], int]:
    """Events, answer and number of forwards."""
    runner = ModelRunner(checkpoint.model, cache_bytes=0)
    sequence = Sequence.begin(checkpoint, clip, RATE, form, drafts)
    decoding, state = sequence.write(), SequenceState(sequence.prompt)
    events, forwards = list[Event](), 0
    answers: list[TokenDistribution] | None = None
    while True:
        try:
            item = decoding.send(answers)
        except StopIteration:
            return events, sequence.history.answer, forwards
        answers = None
        if isinstance(item, TokenTree):
            (logits,) = runner.run([(state, item)])
            answers = [Logits(row) for row in logits]
            forwards += 1
        else:
            events.append(item)


@with_a_model
@given(form=forms, seeds=st.lists(st.integers(0, 2), min_size=2, max_size=3), is_video=st.booleans())
def test_an_answer_is_the_same_to_the_last_bit_with_whatever_draft(
    checkpoint: LoadedModel, make_clip: MakeClip, form: Form, seeds: list[int], is_video: bool
) -> None:
    drafts = Speculation()
    for seed in seeds:
        clip = make_clip(3 if is_video else 1, is_video=is_video, seed=seed)
        try:
            expected = _written(checkpoint, clip, form, None)
        except InvalidRequest:
            return  # Options that cannot be distinguished: see test_grammar.
        # Every earlier answer is taken for a draft, though the pictures have nothing in common.
        drafts.learn((RATE, form, is_video), _hashes(checkpoint, clip), _last(drafts, form, is_video))
        drafted = _written(checkpoint, clip, form, drafts)
        assert drafted[:2] == expected[:2]


def _hashes(checkpoint: LoadedModel, clip: Clip) -> tuple[bytes, ...]:
    return checkpoint.layout.patches(clip).group_keys


def _last(drafts: Speculation, form: Form, is_video: bool) -> DraftAnswer:
    """The last answer to the question, whatever it was about."""
    answers = drafts._answers.get((RATE, form, is_video), [])
    return answers[-1][1] if answers else DraftAnswer((), ())


def test_the_same_again_is_one_forward_and_one_for_each_place_with_side_ways(
    checkpoint: LoadedModel, image: Clip
) -> None:
    drafts = Speculation()
    first, again = _written(checkpoint, image, FORM, drafts), _written(checkpoint, image, FORM, drafts)
    # The options that share a beginning, the second digit and the third.
    assert (first[2], again[2]) == (9 + 1 + 3, 1 + 3)
    assert first[:2] == again[:2]


def test_a_live_window_is_drafted_from_the_one_before(checkpoint: LoadedModel, make_clip: MakeClip) -> None:
    # A feed that stands still: the window goes on, and shows the same.
    still = make_clip(seed=0).frames[0].pixels
    first, second = (
        Clip(tuple(Frame(still, start + 0.5 * n) for n in range(4)), is_video=True) for start in (0.0, 1.0)
    )
    form = Form((Free("reason", 9, ("zz",)), Choice("clutter", (" a", " b")), Digits("score", 1, 2)))
    drafts = Speculation()
    _written(checkpoint, first, form, drafts)
    assert _written(checkpoint, second, form, drafts)[2] == 1


def test_another_picture_has_no_draft(checkpoint: LoadedModel, make_clip: MakeClip) -> None:
    drafts = Speculation()
    _written(checkpoint, make_clip(seed=1), FORM, drafts)
    assert drafts.find((RATE, FORM, False), _hashes(checkpoint, make_clip(seed=2))) is None


def test_another_question_has_no_draft(checkpoint: LoadedModel, image: Clip) -> None:
    drafts = Speculation()
    _written(checkpoint, image, FORM, drafts)
    assert drafts.find((RATE, Form((Literal("a"),)), False), _hashes(checkpoint, image)) is None


def test_a_free_text_is_guessed_from_what_was_written_in_its_place() -> None:
    phrases = PromptLookup()
    phrases.learn([1, 2, 3, 4, 5])
    phrases.learn([7, 2, 3, 9])
    assert phrases.guess([1, 2]) == (3, 4, 5)
    assert phrases.guess([8, 2, 3]) == (9,)
    assert phrases.guess([6]) == ()


def test_the_phrase_written_last_is_guessed_first() -> None:
    phrases = PromptLookup()
    for phrase in ([1, 2], [1, 3], [1, 2]):
        phrases.learn(phrase)
    assert phrases.guess([1]) == (2,)
    assert len(phrases.written) == 2


@pytest.mark.parametrize("count", [300, 600])
def test_drafts_are_bounded(count: int) -> None:
    drafts = Speculation()
    for n in range(count):
        drafts.learn(f"question {n % 7}", [b"%d" % n], DraftAnswer((n,), ()))
        drafts.lookup(n, "reason")
    assert sum(map(len, drafts._answers.values())) <= 256
    assert len(drafts._lookups) <= 256


CHOICES = Form(
    (
        *(Choice("clutter", ("a", "b")), Literal("."), Choice("level", ("c", "d")), Literal(".")),
        *(Choice("size", ("e", "ef", "i")), Literal("."), Choice("place", ("g", "h"))),
    )
)


@pytest.mark.parametrize(("is_usual", "forwards"), [(True, 2), (False, 4)])
def test_choices_that_fall_as_usual_share_a_forward_and_no_bit_differs(
    checkpoint: LoadedModel, image: Clip, is_usual: bool, forwards: int
) -> None:
    alone, drafts = _written(checkpoint, image, CHOICES, None), Speculation()
    for chose in (event for event in alone[0] if isinstance(event, Chose)):
        other = next(option for option in chose.probabilities if option != chose.option)
        tokens = checkpoint.text.encode(chose.option if is_usual else other)
        drafts.usual((RATE, CHOICES, False), chose.segment).chosen.append(tuple(tokens))
    guessed = _written(checkpoint, image, CHOICES, drafts)
    assert guessed[:2] == alone[:2]
    # One up to the options that share a beginning, and one behind them.
    assert (alone[2], guessed[2]) == (4, forwards)


@pytest.mark.parametrize(("chosen", "guess"), [("", ""), ("a", "a"), ("ba", "b"), ("aabab", "a"), ("abc", "")])
def test_the_usual_option_is_guessed_if_it_is_at_least_every_second(chosen: str, guess: str) -> None:
    usual = UsualOption()
    usual.chosen.extend((ord(option),) for option in chosen)
    assert usual.guess() == tuple(map(ord, guess))
