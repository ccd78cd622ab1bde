from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from assay.decoding.token_tree import TokenTree
from assay.engine.kv_cache import SequenceState
from assay.engine.model.loading import LoadedModel
from assay.errors import InvalidRequest
from assay.form import Choice, Digits, Form, Free, Literal, Reading, Segment
from assay.frame import Clip
from assay.generator import Chose, Conversation, Event, Finished, NumberWritten, Wrote
from assay.qwen2_vl.prompt_tokens import prompt_tokens
from tests.assay.engine.oracle import Oracle, Run, engine_events, model_inputs, texts

RATE = Conversation("Rate this image.")

_text = st.text(alphabet="a.c \n1é日🙂", min_size=1, max_size=6)
_segments = st.lists(
    st.one_of(
        st.builds(Literal, _text),
        st.builds(
            Choice,
            st.just(""),
            st.lists(
                _text | st.sampled_from([" 1", " 10", "clutter", "cluttered"]), min_size=2, max_size=5, unique=True
            ).map(tuple),
            st.sampled_from(get_args(Reading)),
        ),
        st.builds(
            Digits,
            st.just(""),
            st.integers(1, 2),
            st.integers(0, 2),
            st.sampled_from(["", " "]),
            st.sampled_from([1.0, 0.2, 0.05]),
        ),
        st.builds(
            Free,
            st.just(""),
            st.integers(1, 12),
            st.lists(_text | st.characters(codec="latin-1"), max_size=3).map(tuple),
        ),
    ),
    min_size=1,
    max_size=4,
)


def _named(segments: list[Segment]) -> Form:
    return Form(
        tuple(
            segment if isinstance(segment, Literal) else replace(segment, name=f"segment {place}")
            for place, segment in enumerate(segments)
        )
    )


forms = _segments.map(_named)
# Explaining a failure takes minutes with a model in the loop.
with_a_model = settings(
    max_examples=60, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate, Phase.shrink]
)


def _events(checkpoint: LoadedModel, clip: Clip, *segments: Segment) -> list[Event]:
    return engine_events(checkpoint, clip, RATE, Form(segments))[0]


@with_a_model
@given(form=forms, is_video=st.booleans())
def test_any_form_is_answered_as_by_full_forwards(
    checkpoint: LoadedModel, image: Clip, video: Clip, form: Form, is_video: bool
) -> None:
    clip = video if is_video else image
    try:
        events, answer, _ = engine_events(checkpoint, clip, RATE, form)
    except InvalidRequest:
        return  # Options that cannot be distinguished: see test_grammar.
    oracle = Oracle.write(checkpoint, clip, RATE, form)
    assert texts(events) == texts(oracle.events)
    assert answer == tuple(oracle.answer)
    assert _choices(events) == _choices(oracle.events)
    for mine, theirs in zip(_numbers(events), _numbers(oracle.events), strict=True):
        assert mine.written == theirs.written
        assert mine.by_prefix == {prefix: pytest.approx(tens, abs=1e-4) for prefix, tens in theirs.by_prefix.items()}
    assert events[-1] == Finished(
        "cut" if oracle.is_cut else "complete", checkpoint.fingerprint, len(oracle.prompt.ids), len(answer)
    )


def _choices(events: list[Event]) -> list[object]:
    rounded = [event for event in events if isinstance(event, Chose)]
    return [(e.segment, e.option, {o: pytest.approx(p, abs=1e-4) for o, p in e.probabilities.items()}) for e in rounded]


def _numbers(events: list[Event]) -> list[NumberWritten]:
    return [event for event in events if isinstance(event, NumberWritten)]


def _says(checkpoint: LoadedModel, shares: dict[str, float]) -> Run:
    """A model that goes on with these texts, a token each, so often; whatever it reads."""
    logits = torch.full((1, 288), float("-inf"))
    for text, share in shares.items():
        (token,) = checkpoint.text.encode(text)
        logits[0, token] = torch.tensor(share).log()
    return lambda _cache, _feed: logits


@pytest.mark.parametrize(
    ("reading", "shares", "option"),
    [
        ("likeliest", (0.4, 0.3, 0.3), "1"),
        ("median", (0.4, 0.3, 0.3), "2"),
        ("median", (0.3, 0.3, 0.4), "2"),
        ("median", (0.6, 0.3, 0.1), "1"),
        ("median", (0.1, 0.3, 0.6), "3"),
        ("median", (0.5, 0.25, 0.25), "1"),
    ],
)
def test_a_choice_is_read_as_the_form_says(
    checkpoint: LoadedModel, image: Clip, reading: Reading, shares: tuple[float, ...], option: str
) -> None:
    form = Form((Literal("a"), Choice("clutter", ("1", "2", "3"), reading), Literal(".")))
    run = _says(checkpoint, dict(zip("123", shares, strict=True)))
    events, answer, _ = engine_events(checkpoint, image, RATE, form, run)
    (chose,) = (event for event in events if isinstance(event, Chose))
    assert chose.option == option
    assert chose.probabilities == pytest.approx(dict(zip("123", shares, strict=True)))
    assert texts(events) == [("", "a"), ("clutter", option), ("", ".")]
    assert [*answer] == checkpoint.text.encode(f"a{option}.")


@pytest.mark.parametrize(("quantile", "option"), [(0.2, "1"), (0.25, "2"), (0.5, "2"), (0.6, "3")])
def test_a_median_stops_at_the_share_that_the_choice_states(
    checkpoint: LoadedModel, image: Clip, quantile: float, option: str
) -> None:
    form = Form((Literal("a"), Choice("clutter", ("1", "2", "3"), "median", quantile)))
    run = _says(checkpoint, {"1": 0.22, "2": 0.33, "3": 0.45})
    events, *_ = engine_events(checkpoint, image, RATE, form, run)
    assert [event.option for event in events if isinstance(event, Chose)] == [option]


@pytest.mark.parametrize(("worse", "option"), [(0.24, "2"), (0.26, "1")])
def test_of_two_grades_the_worse_is_given_from_its_share_on(
    checkpoint: LoadedModel, image: Clip, worse: float, option: str
) -> None:
    form = Form((Literal("a"), Choice("level", ("1", "2"), "median", 0.25)))
    events, *_ = engine_events(checkpoint, image, RATE, form, _says(checkpoint, {"1": worse, "2": 1 - worse}))
    assert [event.option for event in events if isinstance(event, Chose)] == [option]


def test_a_calibrated_choice_is_its_likeliest_option_and_reports_calibrated_probabilities(
    checkpoint: LoadedModel, image: Clip
) -> None:
    choice = Choice("clutter", ("1", "2", "3"), biases=(0.0, 0.0, 1.0))
    events, *_ = engine_events(
        checkpoint, image, RATE, Form((Literal("a"), choice)), _says(checkpoint, {"1": 0.5, "2": 0.2, "3": 0.3})
    )
    (chose,) = (event for event in events if isinstance(event, Chose))
    assert chose.option == "3"
    assert chose.probabilities == pytest.approx(choice.calibrated({"1": 0.5, "2": 0.2, "3": 0.3}))


@with_a_model
@given(form=forms)
def test_probabilities_sum_to_one(checkpoint: LoadedModel, image: Clip, form: Form) -> None:
    try:
        events, *_ = engine_events(checkpoint, image, RATE, form)
    except InvalidRequest:
        return
    sums = [sum(event.probabilities.values()) for event in events if isinstance(event, Chose)]
    sums += [sum(tens) for number in _numbers(events) for tens in number.by_prefix.values()]
    assert sums == pytest.approx([1.0] * len(sums))


@pytest.mark.parametrize("is_video", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_free_text_without_stops_is_what_transformers_generates(
    checkpoint: LoadedModel, make_clip: Callable[..., Clip], is_video: bool, seed: int
) -> None:
    clip = make_clip(3 if is_video else 1, is_video=is_video, height=84, width=112, seed=seed)
    _, answer, _ = engine_events(checkpoint, clip, RATE, Form((Free("text", 48, ()),)))
    prompt = prompt_tokens(clip, RATE, checkpoint.layout, checkpoint.text)
    inputs = model_inputs(checkpoint, prompt)
    model: Any = checkpoint.model
    generated = model.generate(**inputs, do_sample=False, max_new_tokens=48)[0, len(prompt.ids) :].tolist()
    assert [*answer] == [token for token in generated if token not in checkpoint.ends]


def test_the_answer_depends_on_the_picture(checkpoint: LoadedModel, make_clip: Callable[..., Clip]) -> None:
    free = Form((Free("text", 16, ()),))
    answers = {engine_events(checkpoint, make_clip(seed=seed), RATE, free)[1] for seed in range(4)}
    assert len(answers) == 4


def test_literals_alone_ask_nothing_of_the_model(checkpoint: LoadedModel, image: Clip) -> None:
    assert engine_events(checkpoint, image, RATE, Form((Literal("a"), Literal("b"))))[2] == []


def test_literals_are_read_in_one_chunk_with_what_precedes_them(checkpoint: LoadedModel, image: Clip) -> None:
    form = Form((Literal("Score"), Literal(":"), Digits("score", 1, 0), Literal(". Next:"), Digits("next", 1, 0)))
    assert len(engine_events(checkpoint, image, RATE, form)[2]) == 2


def test_a_number_at_branch_probability_one_is_one_forward_a_digit(checkpoint: LoadedModel, image: Clip) -> None:
    assert len(engine_events(checkpoint, image, RATE, Form((Digits("score", 1, 2),)))[2]) == 3


def test_a_number_has_its_lead_and_its_point(checkpoint: LoadedModel, image: Clip) -> None:
    events = _events(checkpoint, image, Digits("score", 2, 1, lead=" <"))
    written = "".join(event.text for event in events if isinstance(event, Wrote))
    assert written[:2] == " <"
    assert written[4] == "."
    assert len(written) == 6


def test_the_lead_is_not_part_of_the_number(checkpoint: LoadedModel, image: Clip) -> None:
    (number,) = _numbers(_events(checkpoint, image, Digits("score", 1, 2, lead=" ")))
    assert float(number.written) == pytest.approx(int(number.written.replace(".", "")) / 100)


def test_a_text_cut_short_is_reported(checkpoint: LoadedModel, image: Clip) -> None:
    finished = _events(checkpoint, image, Free("text", 2, ("never",)), Literal("end"))[-1]
    assert isinstance(finished, Finished)
    assert finished.reason == "cut"


def _scripted(tokens: list[int]) -> Run:
    """A model whose answer is fixed, whatever it reads."""

    def run(cache: SequenceState, feed: TokenTree) -> torch.Tensor:
        answered = feed.keep + len(feed.token_ids) - len(cache.prompt.ids)
        return torch.eye(288)[[tokens[answered]]]

    return run


def test_a_token_cut_by_the_stop_leaves_its_beginning(checkpoint: LoadedModel, image: Clip) -> None:
    encode = checkpoint.text.encode
    assert len(encode(".\n")) == 1
    form = Form((Free("text", 9, ("\n",)), Literal("!")))
    _, answer, _ = engine_events(checkpoint, image, RATE, form, _scripted(encode("score.\n")))
    assert [*answer] == [*encode("score"), *encode("."), *encode("!")]


def test_half_a_character_is_never_streamed(checkpoint: LoadedModel, image: Clip) -> None:
    tokens = [token for byte in "日é".encode() for token in checkpoint.text.encode_bytes(bytes([byte]))]
    events, *_ = engine_events(checkpoint, image, RATE, Form((Free("text", 5, ()),)), _scripted(tokens))
    assert [event.text for event in events if isinstance(event, Wrote)] == ["日", "é"]


def test_the_end_of_the_turn_ends_a_text_and_the_form_goes_on(checkpoint: LoadedModel, image: Clip) -> None:
    tokens = [*checkpoint.text.encode("a"), checkpoint.text.special.im_end]
    events, *_ = engine_events(
        checkpoint, image, RATE, Form((Free("text", 9, ("\n",)), Literal("end"))), _scripted(tokens)
    )
    assert texts(events) == [("text", "a"), ("", "end")]


def test_a_prompt_that_is_too_long_says_the_numbers(checkpoint: LoadedModel, image: Clip) -> None:
    with pytest.raises(InvalidRequest, match=r"the prompt has \d+ tokens and the answer may have 7; .* exceed 2048"):
        engine_events(checkpoint, image, Conversation("é" * 2000), Form((Free("text", 7),)))
