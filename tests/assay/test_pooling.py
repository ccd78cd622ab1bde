"""Several scores -> one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.attribute import Attribute
from assay.pooling import pool_attributes, pool_mean, reconcile
from assay.score import Scale, Score

SCALE = Scale(0, 10)
VALUES = st.floats(0, 10)


def score(value: float, deviation: float = 0.1) -> Score:
    return Score(value, deviation, SCALE)


@given(VALUES, VALUES, st.floats(0, 1))
def test_a_reconciled_score_lies_between_the_two(direct, reasoned, weight):
    value = reconcile(score(direct), score(reasoned), weight).value
    assert min(direct, reasoned) - 1e-9 <= value <= max(direct, reasoned) + 1e-9


def test_two_sure_numbers_that_differ_make_an_unsure_one():
    assert reconcile(score(2.0, 0.0), score(8.0, 0.0), 0.5).standard_deviation == pytest.approx(3.0)


def test_scores_of_two_scales_are_not_reconciled():
    with pytest.raises(ValueError, match="scales differ"):
        reconcile(score(2.0), Score(20.0, 1.0, Scale(0, 100)), 0.5)


def test_a_longer_window_counts_for_more():
    assert pool_mean([score(2.0), score(8.0)], [3.0, 1.0]).value == pytest.approx(3.5)


def test_a_single_score_is_left_alone():
    only = Score(3.7, 0.2, SCALE, "3.70", {"": (0.1,) * 10})
    assert pool_mean([only], [4.0]) is only


@pytest.mark.parametrize(("scores", "weights"), [([], []), ([score(1.0)], [0.0]), ([score(1.0)], [1.0, 2.0])])
def test_weights_that_weigh_nothing_are_refused(scores, weights):
    with pytest.raises(ValueError, match="weight"):
        pool_mean(scores, weights)


def test_the_grade_of_a_video_is_the_most_probable_on_average():
    sharp = Attribute("level_shot", "yes", {"no": 0.4, "yes": 0.6})
    tilted = Attribute("level_shot", "no", {"no": 0.9, "yes": 0.1})
    assert pool_attributes([[sharp], [tilted]], [1.0, 1.0])[0].grade == "no"


def test_words_come_from_the_longest_window():
    short = Attribute("subject_and_background", text="a dog")
    long = Attribute("subject_and_background", text="a cat")
    assert pool_attributes([[short], [long]], [1.0, 2.0])[0].text == "a cat"


def test_an_attribute_that_one_window_does_not_tell_is_still_told():
    assert [each.name for each in pool_attributes([[], [Attribute("clarity", "very clear")]], [1.0, 1.0])] == [
        "clarity"
    ]
