"""evaluation/paired.py on cases with known answers."""

import numpy as np
import pytest

from evaluation.paired import Comparison, compare
from evaluation.runs import DIRECT, FINAL, BadRun
from tests.evaluation.scored import run_of

MOS = list(np.linspace(1, 5, 60))
NOISE = np.random.default_rng(0).normal(size=60)


def compared(first: list[float | str], second: list[float | str]) -> Comparison:
    return compare(run_of(first, MOS), run_of(second, MOS), (FINAL, FINAL))


def test_a_setting_does_not_differ_from_itself() -> None:
    scores = list(np.array(MOS) + NOISE)
    found = compared(scores, scores).differences[0].change
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_a_clearly_better_setting_is_noticed() -> None:
    better, worse = list(np.array(MOS) + 0.1 * NOISE), list(np.array(MOS) + 3 * NOISE)
    assert compared(worse, better).differences[0].is_noticeable is True


def test_the_sign_is_that_of_second_minus_first() -> None:
    better, worse = list(np.array(MOS) + 0.1 * NOISE), list(np.array(MOS) + 3 * NOISE)
    change = compared(better, worse).differences[0].change
    assert change.value is not None
    assert change.value < 0


def test_the_interval_of_a_difference_is_narrower_than_that_of_either_setting() -> None:
    first = np.array(MOS) + NOISE
    change = compared(list(first), list(first + 0.01 * NOISE[::-1])).differences[0].change
    assert change.low is not None
    assert change.high is not None
    assert change.high - change.low < 0.05


def test_only_files_that_both_have_scored_are_compared_and_the_others_counted() -> None:
    scores: list[float | str] = list(MOS)
    found = compared(["BAD_MEDIA", *scores[1:]], ["BAD_MEDIA", "UNREADABLE_VERDICT", *scores[2:]])
    assert (found.n, found.compared, found.only_first, found.only_second, found.neither) == (60, 58, 1, 0, 1)


def test_equal_scores_have_a_reason_instead_of_an_interval() -> None:
    found = compared([3.0] * 60, list(MOS)).differences[0]
    assert found.is_noticeable is None
    assert found.change.reason


def test_other_files_cannot_be_compared() -> None:
    with pytest.raises(BadRun, match="differ in files"):
        compare(run_of([1.0, 2.0], [1, 2]), run_of([1.0], [1]), (FINAL, DIRECT))


def test_a_run_of_two_models_cannot_be_compared() -> None:
    mixed = run_of([1.0, 2.0], [1, 2], models=2)
    with pytest.raises(BadRun, match="more than one model"):
        compare(mixed, mixed, (FINAL, DIRECT))
