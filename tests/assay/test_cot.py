"""Free prose -> grades and verdict."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.cot import CotReader, GradeRead, Reasoning, Verdict
from assay.errors import UnreadableVerdict

READING = {
    "composition": ["a score of {grade}"],
    "clarity": ["the image is {grade}"],
    "level_shot": {"yes": "The camera is level", "no": "The camera is tilted"},
}
ANSWER = "Well composed, a score of 10. The camera is tilted, but the image is very clear. The final score is <6.59>."


def read(*pieces: str, needs_verdict: bool = True) -> list[Reasoning | GradeRead | Verdict]:
    reader = CotReader(READING)
    events = [event for piece in pieces for event in reader.feed(piece)]
    return [*events, *reader.finish(needs_verdict=needs_verdict)]


def reported(events: list[Reasoning | GradeRead | Verdict]) -> tuple[str, list[object]]:
    text = "".join(event.text for event in events if isinstance(event, Reasoning))
    return text, [event for event in events if not isinstance(event, Reasoning)]


@given(st.lists(st.integers(0, len(ANSWER)), max_size=6).map(sorted))
def test_where_the_text_is_cut_does_not_matter(cuts):
    edges = [0, *cuts, len(ANSWER)]
    pieces = [ANSWER[a:b] for a, b in itertools.pairwise(edges)]
    assert reported(read(*pieces)) == reported(read(ANSWER))


def test_every_grade_and_the_verdict_are_read():
    assert reported(read(ANSWER))[1] == [
        GradeRead("composition", "10"),
        GradeRead("level_shot", "no"),
        GradeRead("clarity", "very clear"),
        Verdict("6.59"),
    ]


def test_the_verdict_is_not_shown_as_reasoning():
    assert "6.59" not in reported(read(ANSWER))[0]


def test_seven_is_not_read_out_of_seven_and_a_half():
    assert reported(read("a score of 7.5 ", needs_verdict=False))[1] == []


def test_only_the_first_number_between_brackets_is_the_verdict():
    assert [event for event in read("<3.00> and <9.99>") if isinstance(event, Verdict)] == [Verdict("3.00")]


def test_an_answer_without_a_score_is_unreadable():
    with pytest.raises(UnreadableVerdict, match="no score"):
        read("I would rather not say <")


def test_a_bracket_that_never_becomes_a_verdict_is_shown_in_the_end():
    assert reported(read("2 <3", needs_verdict=False))[0] == "2 <3"


def test_a_phrase_for_a_grade_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="no grade 'maybe'"):
        CotReader({"level_shot": {"maybe": "perhaps"}})
