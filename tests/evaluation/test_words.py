"""Words: what the reasoning's own text says, without the grades that came beside it."""

from pathlib import Path

from assay.checkpoint import read_checkpoint
from evaluation.words import bucket_in_words, grades_in, reasons_in

CHECKPOINT = read_checkpoint(Path(__file__).parents[2] / "checkpoints" / "nano")
REGULAR = """1.1 Reason for Composition Score: the framing is weak and the parts are poorly balanced
1.2 Composition Score: 10
1.3 Reason for Eye-Catching Score: it is too dark
2.6 Level Shot: no
3.1 Image Clarity: very
3.2 Exposure: slightly underexposed
The final score is <"""


def test_a_grade_is_the_words_behind_its_heading() -> None:
    said = grades_in(CHECKPOINT, "regular", REGULAR)
    assert said == {"composition": "10", "level_shot": "no", "exposure": "slightly underexposed"}


def test_a_reason_is_the_words_behind_its_heading() -> None:
    assert reasons_in(CHECKPOINT, "regular", REGULAR)["eye_catching"] == "it is too dark"


def test_prose_is_read_by_the_checkpoints_phrases() -> None:
    said = grades_in(CHECKPOINT, "natural", "The camera is tilted. The picture is very clear, it is overexposed, and")
    assert said == {"level_shot": "no", "clarity": "very clear", "exposure": "overexposed"}


def test_the_word_in_the_prose_has_the_bucket_of_its_list() -> None:
    text = (
        "The composition is well thought out, earning a score of 9, and the overall eye-catching quality is low, with"
    )
    assert [bucket_in_words("natural", name, text) for name in ("composition", "eye_catching")] == [4, 1]


def test_words_of_ones_own_have_no_bucket() -> None:
    assert bucket_in_words("regular", "composition", "nice dog") is None
