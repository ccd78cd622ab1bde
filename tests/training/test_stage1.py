"""Stage 1 asks the paper's thirteen questions and answers in the words of the regular form."""

import numpy as np
import pytest

from assay.checkpoint import ModelSpec
from assay.form import Choice, Literal
from assay.prompt import answer_form
from training import stage1


def test_there_are_nine_attributes_three_levels_and_one_mix() -> None:
    assert len(stage1.TASKS) == 13


@pytest.mark.parametrize("task", stage1.TASKS)
def test_every_question_has_wording_and_an_answer(task: str, checkpoint: ModelSpec) -> None:
    assert stage1.question(task, is_video=True)
    assert stage1.answer(checkpoint, task).segments


def test_the_whole_answer_is_the_regular_one_without_its_score(checkpoint: ModelSpec) -> None:
    *before, _, _, _ = answer_form(checkpoint, "regular")
    assert list(stage1.answer(checkpoint, "mix")) == before


def test_an_answer_begins_with_its_heading_and_not_with_a_blank_line(checkpoint: ModelSpec) -> None:
    heading, grade = stage1.answer(checkpoint, "clarity")
    assert (heading, isinstance(grade, Choice)) == (Literal("3.1 Image Clarity:"), True)


def test_every_picture_is_asked_as_many_questions() -> None:
    rng = np.random.default_rng(0)
    assert {len(stage1.drawn(rng)) for _ in range(40)} == {3}
