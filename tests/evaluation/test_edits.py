"""evaluation/edits.py: transcripts of the small checkpoint's regular form, taken apart and changed."""

import pytest

from assay.form import Choice, Form, Free
from assay.prompt import SCORE, answer_form
from assay.transcript import Transcript
from evaluation.edited import EDITS, Part, put_together, taken_apart
from tests.checkpoints import small_checkpoint


def form() -> Form:
    return answer_form(small_checkpoint(), "regular").before(SCORE)


def reported(reason: str = " fine", composition: str = " 7", clarity: str = " very clear") -> Transcript:
    texts = ["Reason:", reason, "\nComposition:", composition, "\nSubject:", " a dog", "\nBackground:", " a beach"]
    texts += ["\nClarity:", clarity, "\nThe final score is <"]
    return Transcript(tuple(text for text in texts if text), "f", True)


def by_name(parts: list[Part]) -> dict[str, str]:
    return {segment.name: text for segment, text in parts if isinstance(segment, Choice | Free)}


def edited(name: str, other: Transcript | None = None) -> dict[str, str]:
    return by_name(EDITS[name](taken_apart(form(), reported()), taken_apart(form(), other or reported())))


def test_a_transcript_is_put_together_as_it_was() -> None:
    assert put_together(taken_apart(form(), reported()), reported()) == reported()


def test_a_free_text_that_wrote_nothing_is_empty() -> None:
    assert by_name(taken_apart(form(), reported(reason="")))["composition_reason"] == ""


def test_a_transcript_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="does not follow its form"):
        taken_apart(form(), Transcript(("Something", " else"), "f", True))


def test_a_transcript_that_goes_on_is_refused() -> None:
    longer = Transcript((*reported().texts, "5"), "f", True)
    with pytest.raises(ValueError, match="goes on"):
        taken_apart(form(), longer)


@pytest.mark.parametrize(("edit", "grade"), [("best grades", " 10"), ("worst grades", " 1")])
def test_grades_are_replaced_and_words_stay(edit: str, grade: str) -> None:
    found = edited(edit)
    assert (found["composition"], found["composition_reason"]) == (grade, " fine")


def test_without_words_the_grades_stay() -> None:
    found = edited("no words")
    assert (found["composition"], found["composition_reason"]) == (" 7", "")


def test_another_pictures_words_leave_the_grades() -> None:
    found = edited("another picture's words", reported(reason=" poor", composition=" 2"))
    assert (found["composition"], found["composition_reason"]) == (" 7", " poor")


def test_another_pictures_grades_leave_the_words() -> None:
    found = edited("another picture's grades", reported(reason=" poor", composition=" 2"))
    assert (found["composition"], found["composition_reason"]) == (" 2", " fine")


@pytest.mark.parametrize("edit", EDITS)
def test_every_edit_ends_where_the_number_begins(edit: str) -> None:
    parts = taken_apart(form(), reported())
    assert put_together(EDITS[edit](parts, parts), reported()).text.endswith("The final score is <")
