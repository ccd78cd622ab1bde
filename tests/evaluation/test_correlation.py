"""Correlation against scipy, known values, and what must not change it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import pearsonr, spearmanr

from evaluation.correlation import (
    Correlation,
    LogisticFit,
    Numbers,
    fit_logistic,
    logistic,
    plcc,
    plcc_rows,
    srcc,
    srcc_rows,
    with_interval,
)

_RNG = np.random.default_rng(7)
SCORES = _RNG.normal(5, 2, 60)
MOS = 0.5 * SCORES + _RNG.normal(0, 1, 60)
TIED = np.array([round(each) for each in MOS], np.float64)


def ends(reported: Correlation) -> tuple[float, float]:
    assert reported.low is not None
    assert reported.high is not None
    return reported.low, reported.high


def small_numbers(n: int = 12) -> st.SearchStrategy[Numbers]:
    # Halves, so that maps that are monotone on paper are strictly monotone in floating point too.
    return arrays(np.float64, n, elements=st.integers(-20, 20).map(lambda each: each / 2))


def test_srcc_agrees_with_scipy() -> None:
    assert srcc(SCORES, MOS) == pytest.approx(spearmanr(SCORES, MOS).statistic)


def test_srcc_with_ties_agrees_with_scipy() -> None:
    assert srcc(SCORES, TIED) == pytest.approx(spearmanr(SCORES, TIED).statistic)


def test_srcc_of_a_textbook_example() -> None:
    iq = np.array([106, 100, 86, 101, 99, 103, 97, 113, 112, 110.0])
    hours = np.array([7, 27, 2, 50, 28, 29, 20, 12, 6, 17.0])
    assert srcc(iq, hours) == pytest.approx(-29 / 165)


def test_plcc_agrees_with_scipy() -> None:
    assert plcc(SCORES, MOS) == pytest.approx(pearsonr(SCORES, MOS).statistic)


@given(small_numbers(), small_numbers())
def test_srcc_does_not_change_under_a_monotone_map(scores: Numbers, mos: Numbers) -> None:
    np.testing.assert_allclose(srcc(np.asarray(np.exp(scores / 4), np.float64), mos**3), srcc(scores, mos), atol=1e-9)


@given(small_numbers(), small_numbers())
def test_plcc_does_not_change_under_a_rising_line(scores: Numbers, mos: Numbers) -> None:
    np.testing.assert_allclose(plcc(3 * scores + 4, mos), plcc(scores, mos), atol=1e-9)


@given(small_numbers(), small_numbers())
def test_a_falling_map_turns_the_sign(scores: Numbers, mos: Numbers) -> None:
    np.testing.assert_allclose(srcc(-scores, mos), -srcc(scores, mos), atol=1e-9)


@given(small_numbers(), small_numbers(), st.permutations(range(12)))
def test_the_order_of_files_does_not_matter(scores: Numbers, mos: Numbers, order: list[int]) -> None:
    np.testing.assert_allclose(srcc(scores[order], mos[order]), srcc(scores, mos), atol=1e-9)


@given(small_numbers(), small_numbers())
def test_a_correlation_is_nan_or_between_minus_one_and_one(scores: Numbers, mos: Numbers) -> None:
    assert not abs(plcc(scores, mos)) > 1.0


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e300])
def test_a_constant_has_no_correlation(constant: float) -> None:
    assert np.isnan(plcc(np.full(7, constant), MOS[:7]))


def test_the_logistic_runs_from_its_lower_to_its_upper_end() -> None:
    assert logistic(np.array([-1e9, 3.0, 1e9]), 5.0, 1.0, 3.0, 0.5).tolist() == pytest.approx([1.0, 3.0, 5.0])


def test_the_fit_finds_the_function_that_made_the_labels() -> None:
    scores = np.linspace(0, 10, 50)
    fit = fit_logistic(scores, logistic(scores, 4.5, 1.2, 6.0, 0.8))
    assert isinstance(fit, LogisticFit)
    assert (fit.upper, fit.lower, fit.middle, abs(fit.width)) == pytest.approx((4.5, 1.2, 6.0, 0.8), rel=1e-3)


def test_after_the_fit_plcc_is_not_lower() -> None:
    bent = logistic(SCORES, 5.0, 1.0, 5.0, 0.4) + _RNG.normal(0, 0.05, 60)
    fit = fit_logistic(SCORES, bent)
    assert isinstance(fit, LogisticFit)
    assert plcc(fit(SCORES), bent) > plcc(SCORES, bent)


def test_four_files_are_too_few_for_four_parameters() -> None:
    assert fit_logistic(SCORES[:4], MOS[:4]) == "four parameters need at least 5 files, got 4"


def test_equal_scores_have_no_fit() -> None:
    assert fit_logistic(np.full(9, 5.0), MOS[:9]) == "all scores or all MOS are equal"


def test_the_interval_holds_the_value() -> None:
    reported = with_interval(srcc_rows, SCORES, MOS)
    assert ends(reported)[0] < srcc(SCORES, MOS) < ends(reported)[1]


def test_equal_seeds_give_equal_intervals() -> None:
    assert with_interval(srcc_rows, SCORES, MOS, seed=3) == with_interval(srcc_rows, SCORES, MOS, seed=3)


def test_another_seed_gives_another_interval() -> None:
    assert with_interval(plcc_rows, SCORES, MOS, seed=3).low != with_interval(plcc_rows, SCORES, MOS, seed=4).low


def test_more_files_make_a_narrower_interval() -> None:
    def width(n: int) -> float:
        x = np.random.default_rng(1).normal(size=n)
        reported = with_interval(plcc_rows, x, x + np.random.default_rng(2).normal(size=n))
        return float(np.diff(ends(reported))[0])

    assert width(800) < width(50) / 2


def test_the_interval_of_plcc_agrees_with_fisher() -> None:
    """For normal data the classical interval is known: tanh(atanh(r) ± 1.96 / sqrt(n - 3))."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=1000)
    y = x + rng.normal(size=1000)
    reported = with_interval(plcc_rows, x, y)
    r = plcc(x, y)
    expected = np.tanh(np.arctanh(r) + np.array([-1.96, 1.96]) / np.sqrt(997))
    assert (reported.low, reported.high) == pytest.approx(tuple(expected), abs=0.01)


def test_two_files_have_no_correlation_to_report() -> None:
    assert with_interval(srcc_rows, SCORES[:2], MOS[:2]).reason == "a correlation needs at least 3 files, got 2"


def test_equal_labels_say_so() -> None:
    assert with_interval(srcc_rows, SCORES[:9], np.full(9, 3.0)).reason == "all MOS are equal"


def test_no_files_at_all_are_not_a_crash() -> None:
    assert with_interval(srcc_rows, np.empty(0), np.empty(0)).value is None


def test_mostly_constant_draws_give_a_value_without_an_interval() -> None:
    one_differs = np.array([1.0] * 30 + [2.0])
    reported = with_interval(plcc_rows, one_differs[-3:], one_differs[-3:])
    assert reported.value == pytest.approx(1.0)


@settings(max_examples=20, deadline=None)
@given(st.integers(3, 8), st.integers(0, 1000))
def test_intervals_stay_within_minus_one_and_one(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    reported = with_interval(srcc_rows, rng.normal(size=n), rng.normal(size=n), draws=200)
    assert reported.low is None or reported.high is None or -1 <= reported.low <= reported.high <= 1
