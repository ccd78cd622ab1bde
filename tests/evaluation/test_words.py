"""Words: what the reasoning's own text says, without the grades that came with it."""

from pathlib import Path

import pytest

from assay.checkpoint import read_checkpoint
from evaluation.words import bucket_in_words, grades_in, reasons_in

CHECKPOINT = read_checkpoint(Path(__file__).parents[2] / "training" / "configs")
REGULAR = """1.1 Reason for Composition Score: weak framing with little detail and even light
1.2 Composition Score: 10
1.3 Reason for Eye-Catching Score: very little appeal: dark
2.6 Level Shot: no
3.1 Image Clarity: very
3.2 Exposure: slightly underexposed
The final score is <"""


def test_a_grade_is_the_words_behind_its_heading() -> None:
    said = grades_in(CHECKPOINT, "regular", REGULAR)
    assert said == {"composition": "10", "level_shot": "no", "exposure": "slightly underexposed"}


def test_a_reason_is_the_words_behind_its_heading() -> None:
    assert reasons_in(CHECKPOINT, "regular", REGULAR)["eye_catching"] == "very little appeal: dark"


PROSE = (
    "We see the scene before a grey background. The picture has well thought out framing with much detail and even "
    "light; its composition earns 9 of 10. It has little appeal: dark, low contrast, muted colours, no tint and "
    "blocked black parts; it catches the eye with 4 of 10. The subject is fully complete and uncluttered, the "
    "background cluttered. Level shot: no. The picture is very clear, it is overexposed, and its saturation is low."
)


def test_prose_says_the_grades_in_the_places_of_its_form() -> None:
    said = grades_in(CHECKPOINT, "natural", PROSE)
    assert len(said) == 9
    assert (said["composition"], said["level_shot"], said["exposure"]) == ("9", "no", "overexposed")


def test_prose_is_read_with_the_words_that_lead_to_its_score_too() -> None:
    assert grades_in(CHECKPOINT, "natural", f"{PROSE} The final score is <") == grades_in(CHECKPOINT, "natural", PROSE)


def test_prose_that_ends_early_says_nothing() -> None:
    assert grades_in(CHECKPOINT, "natural", PROSE[:300]) == {}


@pytest.mark.parametrize(("name", "bucket"), [("composition", 4), ("eye_catching", 1)])
def test_the_words_of_a_reason_have_the_place_of_their_list(name: str, bucket: int) -> None:
    assert bucket_in_words(name, reasons_in(CHECKPOINT, "natural", PROSE)[name]) == bucket


def test_a_longer_phrase_is_not_taken_for_the_shorter_one_in_it() -> None:
    assert bucket_in_words("eye_catching", "very little appeal: dark") == 0


def test_words_of_ones_own_have_no_bucket() -> None:
    assert bucket_in_words("composition", "nice dog") is None
