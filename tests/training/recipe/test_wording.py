"""What is trained is what is served: the questions of the recipe, of the miniature and of realqa-7b."""

from pathlib import Path

import pytest

from assay.checkpoint import FormName, read_checkpoint
from assay.prompt import question
from data.conversations import load_conversations
from tests.conftest import Miniatures
from training.recipe.example import direct_row, reasoned_row, stage1_question

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
