"""A reason agrees with the grade behind it, and ends where both forms expect it to."""

import numpy as np
import pytest

from assay.attribute import KINDS
from tests.training.conftest import picture_of
from training import claims, wording

MEASURED = claims.measured(picture_of().frames[0])
GRADES = {name: kind.grades[-1] for name, kind in KINDS.items() if kind.is_graded} | {"exposure": "properly exposed"}


@pytest.mark.parametrize("grade", [str(number) for number in range(1, 11)])
def test_a_reason_leaves_only_the_grades_of_its_fifth(grade: str) -> None:
    _, likely = wording.composition_reason(GRADES | {"composition": grade})
    left = {int(each) for each, share in likely["composition"].items() if share}
    assert int(grade) in left
    assert {(each - 1) // 2 for each in left} == {(int(grade) - 1) // 2}


def test_no_text_holds_what_ends_it() -> None:
    pieces = [*wording.composition_reason(GRADES)[0], *wording.eye_catching_reason(GRADES)[0]]
    assert not set("\n;.") & set(wording.written(pieces, MEASURED) + wording.background(MEASURED))


def test_an_orange_background_has_the_right_article() -> None:
    measured = {**MEASURED, "surroundings": "neither", "hue": "orange"}
    assert wording.background(measured) == " an orange background"


def test_the_reason_says_what_was_measured() -> None:
    white = claims.measured(np.full((56, 84, 3), 255, np.uint8))
    assert wording.written(wording.eye_catching_reason(GRADES)[0], white).endswith(
        "bright, low contrast, hardly any colour, no tint and burnt-out white parts"
    )
