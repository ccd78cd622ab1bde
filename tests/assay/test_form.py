"""Forms: the grammar of an answer as data."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.form import Choice, Digits, Form, Free, Literal, Reading, form_from_json, form_to_json

TEXT = st.text(min_size=1, max_size=8)
SEGMENTS = st.one_of(
    st.builds(Literal, TEXT),
    st.builds(
        lambda options, reading: ("choice", tuple(options), reading),
        st.lists(TEXT, min_size=2, max_size=4, unique=True),
        st.sampled_from(get_args(Reading)),
    ),
    st.builds(lambda m, n: ("digits", m, n), st.integers(1, 3), st.integers(0, 3)),
    st.builds(lambda n, stops: ("free", n, tuple(stops)), st.integers(1, 99), st.lists(TEXT, max_size=2)),
)


def _named(parts: list[object]) -> Form:
    made: list[Literal | Choice | Digits | Free] = []
    for number, part in enumerate(parts):
        match part:
            case ("choice", options, reading):
                made.append(Choice(f"s{number}", options, reading))
            case ("digits", integer_digits, decimals):
                made.append(Digits(f"s{number}", integer_digits, decimals))
            case ("free", max_tokens, stops):
                made.append(Free(f"s{number}", max_tokens, stops))
            case _:
                made.append(part)
    return Form(tuple(made))


@given(st.lists(SEGMENTS, min_size=1, max_size=6).map(_named))
def test_a_form_survives_the_journey_through_json(form):
    assert form_from_json(form_to_json(form)) == form


def test_a_form_splits_at_a_name_into_two_that_make_the_whole():
    form = Form((Literal("a"), Free("why"), Literal("b"), Digits("score"), Literal(".")))
    assert (*form.before("score"), *form.starting_at("score")) == form.segments


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ("{}", "array"),
        ('[{"kind": "riddle"}]', "riddle"),
        ('[{"kind": "literal", "txt": "x"}]', "txt"),
        ('[{"kind": "choice", "name": "a", "options": ["x"]}]', "options"),
        ('[{"kind": "choice", "name": "a", "options": ["x", "y"], "reading": "mean"}]', "mean"),
        ('[{"kind": "choice", "name": "a", "options": ["x", "y"], "quantile": 1.0}]', "quantile"),
        ('[{"kind": "choice", "name": "a", "options": ["x", "y"], "temperature": 0}]', "temperature"),
        ('[{"kind": "choice", "name": "a", "options": ["x", "y"], "biases": [1.0]}]', "bias"),
    ],
)
def test_unreadable_json_is_refused_and_names_the_culprit(text, culprit):
    with pytest.raises(ValueError, match=culprit):
        form_from_json(text)


def test_two_segments_of_one_name_are_refused():
    with pytest.raises(ValueError, match="why"):
        Form((Free("why"), Free("why")))


def test_a_bias_moves_the_likeliest_option_and_the_probabilities_still_sum_to_one():
    calibrated = Choice("a", ("x", "y", "z"), biases=(0.0, 1.0, 0.0)).calibrated({"x": 0.5, "y": 0.3, "z": 0.2})
    assert (max(calibrated, key=calibrated.get), round(sum(calibrated.values()), 9)) == ("y", 1.0)


def test_a_temperature_above_one_evens_out():
    calibrated = Choice("a", ("x", "y"), temperature=2.0).calibrated({"x": 0.8, "y": 0.2})
    assert calibrated["x"] == pytest.approx(2 / 3)


def test_a_calibrated_choice_survives_json():
    form = Form((Choice("a", ("x", "y"), temperature=1.5, biases=(0.25, -0.25)),))
    assert form_from_json(form_to_json(form)) == form
