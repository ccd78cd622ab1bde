"""Digits -> Score, both readings."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.digits import digit_wise, score_from_digits, whole_number
from assay.generator import NumberWritten
from assay.score import Scale

SCALE = Scale(0, 10)


def one_hot(digit: int) -> tuple[float, ...]:
    return tuple(float(each == digit) for each in range(10))


def counted(written: str, by_prefix: dict[str, tuple[float, ...]] | None = None) -> NumberWritten:
    digits = written.replace(".", "")
    sure = {digits[:place]: one_hot(int(digit)) for place, digit in enumerate(digits)}
    return NumberWritten("score", written, sure | (by_prefix or {}))


@st.composite
def full_trees(draw: st.DrawFn) -> tuple[dict[str, tuple[float, ...]], int]:
    num_digits = draw(st.integers(1, 2))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    prefixes = ["".join(p) for size in range(num_digits) for p in product("0123456789", repeat=size)]
    return {prefix: tuple(rng.dirichlet(np.ones(10))) for prefix in prefixes}, num_digits


@pytest.mark.parametrize("written", ["3.72", "0.0", "10.5", "7", "09.125"])
@pytest.mark.parametrize("reading", [digit_wise, whole_number])
def test_a_sure_model_means_the_number_that_it_writes(written, reading):
    assert reading(counted(written)) == pytest.approx((float(written), 0.0), abs=1e-9)


@given(full_trees())
def test_the_whole_number_reading_is_the_mean_over_all_numbers(tree):
    by_prefix, num_digits = tree
    mean = sum(
        int("".join(number))
        * float(np.prod([by_prefix["".join(number[:place])][int(digit)] for place, digit in enumerate(number)]))
        for number in product("0123456789", repeat=num_digits)
    )
    assert whole_number(NumberWritten("score", "0" * num_digits, by_prefix))[0] == pytest.approx(mean)


def test_a_number_between_two_digits_is_read_across_the_carry():
    half = tuple(0.5 if digit in (3, 4) else 0.0 for digit in range(10))
    split = counted("3.9", {"": half, "3": one_hot(9), "4": one_hot(1)})
    assert whole_number(split)[0] == pytest.approx(4.0)


def test_the_digit_wise_reading_ignores_the_carry():
    half = tuple(0.5 if digit in (3, 4) else 0.0 for digit in range(10))
    split = counted("3.9", {"": half, "3": one_hot(9), "4": one_hot(1)})
    assert digit_wise(split)[0] == pytest.approx(4.4)


def test_a_branch_that_was_not_expanded_counts_with_its_middle():
    half = tuple(0.5 if digit in (3, 4) else 0.0 for digit in range(10))
    split = counted("3.0", {"": half, "3": one_hot(0)})
    assert whole_number(split)[0] == pytest.approx((3.0 + 4.45) / 2)


def test_doubt_about_the_first_digit_is_a_wider_standard_deviation():
    sure = score_from_digits(counted("3.50"), SCALE, "whole")
    torn = score_from_digits(
        counted("3.50", {"": tuple(0.5 if d in (2, 3) else 0.0 for d in range(10))}), SCALE, "whole"
    )
    assert torn.standard_deviation > sure.standard_deviation


@pytest.mark.parametrize("written", ["", "3,7", "3.7.2", "a", "-3.2"])
def test_what_is_no_number_is_refused(written):
    with pytest.raises(ValueError, match="written"):
        digit_wise(NumberWritten("score", written, {"": one_hot(0)}))


def test_a_missing_distribution_is_refused():
    with pytest.raises(ValueError, match="ten probabilities"):
        digit_wise(NumberWritten("score", "37", {"": one_hot(3)}))
