from pathlib import Path

import pytest

from assay.attribute import KINDS
from assay.checkpoint import FormName, read_checkpoint
from assay.prompt import question
from data.conversations import ConversationRow, load_conversations
from tests.conftest import Miniatures
from training.recipe.example import (
    direct_row,
    natural_reasoning,
    reasoned_row,
    split_at_score,
    stage1_question,
    with_digits,
    written_score,
)

PATH = Path("a.jpg")


@pytest.mark.parametrize(
    ("score", "digits", "written"),
    [(3.984, 3, "3.98"), (7.0, 3, "7.0"), (3.984, 2, "4.0"), (3.984, 1, "4"), (9.99, 1, "9"), (9.999, 3, "9.99")],
)
def test_a_score_is_written_with_as_many_digits_as_asked(score: float, digits: int, written: str) -> None:
    assert written_score(score, digits) == written


def test_a_score_that_is_not_normalised_is_refused() -> None:
    with pytest.raises(ValueError, match=r"score = 78.2"):
        written_score(78.2)


def test_the_direct_answer_is_the_one_that_their_code_reads() -> None:
    assert direct_row(PATH, 3.98).answer == "The quality score of this image is 3.98."


def test_the_label_is_found_behind_numbers_of_the_reasoning() -> None:
    row = reasoned_row("natural", PATH, 6.59, "Earning a score of 7.")
    assert split_at_score(row) == ("Earning a score of 7. The final score is <", "6.59", ">.")


def test_the_digit_ablation_rewrites_the_label_alone() -> None:
    assert with_digits(direct_row(PATH, 3.98), 2).answer == "The quality score of this image is 4.0."


def test_an_answer_without_a_label_is_refused_with_its_file() -> None:
    with pytest.raises(ValueError, match=r"a\.jpg"):
        split_at_score(ConversationRow(PATH, "Rate.", "It is nice.", "direct", 3.0))


def test_the_prose_says_every_attribute_in_words() -> None:
    grades = {name: kind.grades[0] for name, kind in KINDS.items() if kind.is_graded}
    words = {
        "subject": "a bed",
        "background": "a wall",
        "composition_reason": "it is sharp",
        "eye_catching_reason": "dull.",
    }
    text = natural_reasoning(grades | words)
    assert "It is sharp. The composition" in text
    assert "It is not a level shot." in text


SERVED = read_checkpoint(Path("checkpoints/realqa-7b"))
PATH = Path("a.jpg")


@pytest.mark.parametrize("is_video", [False, True])
@pytest.mark.parametrize("form", ["direct", "natural", "regular"])
def test_a_row_asks_what_the_services_ask(form: FormName, is_video: bool) -> None:
    row = direct_row(PATH, 5.0, is_video) if form == "direct" else reasoned_row(form, PATH, 5.0, "Fine.", is_video)
    assert row.question == question(SERVED, form, is_video)


def test_q3_keeps_the_space_of_the_papers_figure() -> None:
    assert reasoned_row("regular", PATH, 5.0, "Fine.").question.startswith(" Rate the aesthetics and quality")


def test_a_conversation_set_is_read_with_the_questions_that_are_served(mini: Miniatures) -> None:
    rows = load_conversations(mini("realqa"))
    asked = {row.task: row.question for row in rows}
    forms: tuple[FormName, ...] = ("direct", "natural", "regular")
    assert [asked.pop(form) for form in forms] == [question(SERVED, form, False) for form in forms]
    assert asked == {task: stage1_question(task) for task in asked}
