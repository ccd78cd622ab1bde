"""Every paragraph can be read back: the grades that went in come out."""

import numpy as np
import pytest

from assay.attribute import KINDS
from assay.checkpoint import Checkpoint
from assay.cot import CotReader, GradeRead
from tests.training.conftest import picture_of
from training import wording


@pytest.mark.parametrize("seed", range(20))
def test_the_grades_of_a_paragraph_are_read_back(checkpoint: Checkpoint, seed: int) -> None:
    rng = np.random.default_rng(seed)
    grades = {name: str(rng.choice(kind.grades)) for name, kind in KINDS.items() if kind.is_graded}
    text = wording.paragraph(grades, " a dog", " a green background", rng)
    read = CotReader(checkpoint.reading).feed(text + " The final score is <5.35>.")
    assert {event.name: event.grade for event in read if isinstance(event, GradeRead)} == grades


@pytest.mark.parametrize(
    ("rgb", "word"), [((0.05, 0.05, 0.05), "black"), ((0.1, 0.3, 0.8), "blue"), ((0.95, 0.95, 0.93), "white")]
)
def test_a_colour_is_called_what_people_call_it(rgb: tuple[float, float, float], word: str) -> None:
    assert wording.hue(rgb) == word


def test_an_orange_background_has_the_right_article() -> None:
    assert wording.background(picture_of().looks, "orange").startswith((" an orange", " a busy orange"))


GRADES = {name: kind.grades[-1] for name, kind in KINDS.items() if kind.is_graded} | {"exposure": "properly exposed"}


@pytest.mark.parametrize("grade", [str(number) for number in range(1, 11)])
def test_a_reason_leaves_only_the_grades_of_its_fifth(grade: str) -> None:
    _, likely = wording.composition_reason(GRADES | {"composition": grade}, np.random.default_rng(0))
    left = {int(each) for each, share in likely["composition"].items() if share}
    assert int(grade) in left
    assert {(each - 1) // 2 for each in left} == {(int(grade) - 1) // 2}
