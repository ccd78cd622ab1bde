"""Words: what the reasoning's own text says, without the grades that came beside it."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from assay.attribute import KINDS
from assay.checkpoint import read_checkpoint
from evaluation.words import bucket_in_words, grades_in, reasons_in
from training import wording

CHECKPOINT = read_checkpoint(Path(__file__).parents[2] / "checkpoints" / "nano")
REGULAR = """1.1 Reason for Composition Score: the framing is weak and the parts are poorly balanced
1.2 Composition Score: 10
1.3 Reason for Eye-Catching Score: it is too dark
2.6 Level Shot: no
3.1 Image Clarity: very
3.2 Exposure: slightly underexposed
The final score is <"""
GRADES = {name: kind.grades[-1] for name, kind in KINDS.items() if kind.is_graded}


def test_a_grade_is_the_words_behind_its_heading() -> None:
    said = grades_in(CHECKPOINT, "regular", REGULAR)
    assert said == {"composition": "10", "level_shot": "no", "exposure": "slightly underexposed"}


def test_a_reason_is_the_words_behind_its_heading() -> None:
    assert reasons_in(CHECKPOINT, "regular", REGULAR)["eye_catching"] == "it is too dark"


def test_prose_is_read_by_the_checkpoints_phrases() -> None:
    said = grades_in(CHECKPOINT, "natural", "The camera is tilted. The picture is very clear, it is overexposed, and")
    assert said == {"level_shot": "no", "clarity": "very clear", "exposure": "overexposed"}


@given(st.fixed_dictionaries({kind.name: st.sampled_from(kind.grades) for kind in KINDS.values() if kind.is_graded}))
def test_every_paragraph_of_the_recipe_is_read_back(grades: dict[str, str]) -> None:
    rng = np.random.default_rng(0)
    text = wording.paragraph(grades, " a dog", " a green background", rng)
    assert grades_in(CHECKPOINT, "natural", text) == grades


@given(st.integers(1, 10), st.integers(0, 99))
def test_every_reason_of_the_recipe_has_the_place_of_its_grade(grade: int, seed: int) -> None:
    reason, _ = wording.composition_reason(GRADES | {"composition": str(grade)}, np.random.default_rng(seed))
    assert bucket_in_words("regular", "composition", reason) == (grade - 1) // 2


def test_the_word_in_the_prose_has_the_bucket_of_its_list() -> None:
    text = (
        "The composition is well thought out, earning a score of 9, and the overall eye-catching quality is low, with"
    )
    assert [bucket_in_words("natural", name, text) for name in ("composition", "eye_catching")] == [4, 1]


def test_words_of_ones_own_have_no_bucket() -> None:
    assert bucket_in_words("regular", "composition", "nice dog") is None
