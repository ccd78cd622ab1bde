"""Several scores -> one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.attribute import KINDS, Attribute
from assay.pooling import AttributePool, pool, reconcile
from assay.score import Scale, Score
from assay.video import Pooling, PoolingRule

SCALE = Scale(0, 10)
VALUES = st.floats(0, 10)


def score(value: float, deviation: float = 0.1) -> Score:
    return Score(value, deviation, SCALE)


def attributes_of(windows, weights, quantiles=None):
    together = AttributePool(quantiles)
    for window, weight in zip(windows, weights, strict=True):
        together.feed(window, weight)
    return together.pooled()


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
    assert pool([score(2.0), score(8.0)], [3.0, 1.0]).value == pytest.approx(3.5)


def test_a_single_score_is_left_alone():
    only = Score(3.7, 0.2, SCALE, "3.70", {"": (0.1,) * 10})
    assert pool([only], [4.0]) is only


@pytest.mark.parametrize(("scores", "weights"), [([], []), ([score(1.0)], [0.0]), ([score(1.0)], [1.0, 2.0])])
def test_weights_that_weigh_nothing_are_refused(scores, weights):
    with pytest.raises(ValueError, match="weight"):
        pool(scores, weights)


def test_the_grade_of_a_video_is_the_most_probable_on_average():
    sharp = Attribute("level_shot", "yes", {"no": 0.4, "yes": 0.6})
    tilted = Attribute("level_shot", "no", {"no": 0.9, "yes": 0.1})
    assert attributes_of([[sharp], [tilted]], [1.0, 1.0])[0].grade == "no"


UNSURE = Attribute("clarity", "very clear", dict(zip(KINDS["clarity"].grades, (0.1, 0.15, 0.3, 0.45), strict=True)))


@pytest.mark.parametrize(
    ("quantiles", "grade"),
    [
        ({}, "very clear"),
        ({"exposure": 0.1}, "very clear"),
        ({"clarity": 0.5}, "moderately clear"),
        ({"clarity": 0.2}, "moderately blurry"),
        ({"clarity": 1 - 1e-16}, "very clear"),
    ],
)
def test_the_grade_of_a_video_is_read_as_that_of_a_window(quantiles, grade):
    assert attributes_of([[UNSURE], [UNSURE]], [1.0, 2.0], quantiles)[0].grade == grade


def test_a_grade_that_was_read_from_prose_is_not_read_anew():
    sharp, blurry = Attribute("clarity", "very clear"), Attribute("clarity", "very blurry")
    assert attributes_of([[sharp], [blurry]], [3.0, 1.0], {"clarity": 0.2})[0].grade == "very clear"


def test_words_come_from_the_longest_window():
    short = Attribute("subject_and_background", text="a dog")
    long = Attribute("subject_and_background", text="a cat")
    assert attributes_of([[short], [long]], [1.0, 2.0])[0].text == "a cat"


def test_an_attribute_that_one_window_does_not_tell_is_still_reported():
    assert [each.name for each in attributes_of([[], [Attribute("clarity", "very clear")]], [1.0, 1.0])] == ["clarity"]


SCORES = st.lists(st.tuples(VALUES, st.floats(0.1, 10)), min_size=2, max_size=40)


@given(SCORES, st.floats(0.1, 100))
def test_a_percentile_is_the_score_of_a_window(windows, percent):
    values, weights = zip(*windows, strict=True)
    assert pool([*map(score, values)], weights, PoolingRule(Pooling.PERCENTILE, percentile=percent)).value in values


@given(SCORES, st.floats(0.1, 100))
def test_at_least_so_many_percent_of_the_time_are_no_better_than_the_percentile(windows, percent):
    values, weights = zip(*windows, strict=True)
    found = pool([*map(score, values)], weights, PoolingRule(Pooling.PERCENTILE, percentile=percent)).value
    no_better = sum(weight for value, weight in windows if value <= found)
    assert no_better >= sum(weights) * percent / 100 * (1 - 1e-6)


def test_half_of_the_time_is_the_median_and_not_half_of_the_windows():
    median = PoolingRule(Pooling.PERCENTILE, percentile=50.0)
    assert pool([score(8.0), score(2.0), score(3.0)], [6.0, 1.0, 1.0], median).value == 8.0


def test_the_worst_windows_are_averaged_by_their_time():
    worst = PoolingRule(Pooling.WORST, worst_count=2)
    assert pool([score(8.0), score(2.0), score(5.0)], [1.0, 1.0, 2.0], worst).value == pytest.approx(4.0)


@given(SCORES)
def test_more_worst_windows_than_there_are_is_the_mean(windows):
    scores, weights = [score(value) for value, _ in windows], [weight for _, weight in windows]
    assert pool(scores, weights, PoolingRule(Pooling.WORST, worst_count=100)).value == pytest.approx(
        pool(scores, weights).value
    )


def test_a_score_taken_from_one_of_several_windows_does_not_bring_its_digits():
    digits = Score(3.7, 0.2, SCALE, "3.70", {"": (0.1,) * 10})
    assert pool([digits, score(9.0)], [1.0, 1.0], PoolingRule(Pooling.PERCENTILE)).written == ""


@pytest.mark.parametrize("rule", [{"method": "median"}, {"percentile": 0.0}, {"percentile": 101.0}, {"worst_count": 0}])
def test_there_is_no_other_way_to_pool(rule):
    with pytest.raises(ValueError, match=r"no way to pool|not a valid Pooling"):
        PoolingRule(**rule)


def test_what_is_held_of_attributes_does_not_grow_with_the_windows():
    clear = Attribute("clarity", "very clear", text="sharp to the corners")
    assert attributes_of([[clear]] * 1000, [1.0] * 1000)[0].text == "sharp to the corners"
