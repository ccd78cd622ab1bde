"""Digits -> Score: the expectation over the digits that the model could have written.

Two readings of the same distributions (`NumberWritten.by_prefix`):

digit-wise   E[S] = sum_i 10^(1-i) * sum_d d * p_i(d), each position on the written path (RealQA, arXiv 2503.06141,
             section 3.3). It ignores carries: between 3.99 and 4.01 the second digit is averaged over both.
whole-number E[S] = sum over numbers of number * p(number), on a prefix tree. A branch that was not expanded counts
             as if every number below it were equally probable.
"""

from collections.abc import Callable, Mapping
from math import sqrt

from assay.generator import NumberWritten
from assay.score import Scale, Score

ByPrefix = Mapping[str, tuple[float, ...]]
Moments = tuple[float, float]
"""Mean and variance."""


def digit_wise(counted: NumberWritten) -> Moments:
    """Mean and variance of the number, position by position on the written path, in units of the number."""
    digits, unit = _digits_and_unit(counted.written)
    mean = variance = 0.0
    for position in range(len(digits)):
        probabilities = _ten(counted.by_prefix, digits[:position])
        weight = unit * 10.0 ** (len(digits) - 1 - position)
        first = sum(digit * p for digit, p in enumerate(probabilities))
        second = sum(digit**2 * p for digit, p in enumerate(probabilities))
        mean += weight * first
        variance += weight**2 * (second - first**2)
    return mean, max(variance, 0.0)


def whole_number(counted: NumberWritten) -> Moments:
    """Mean and variance of the number over the prefix tree, in units of the number."""
    digits, unit = _digits_and_unit(counted.written)
    _ten(counted.by_prefix, "")
    mean, second = _tree_moments(counted.by_prefix, "", len(digits))
    return unit * mean, unit**2 * max(second - mean**2, 0.0)


READINGS: Mapping[str, Callable[[NumberWritten], Moments]] = {"digits": digit_wise, "whole": whole_number}


def score_from_digits(counted: NumberWritten, scale: Scale, expectation: str) -> Score:
    """The score that the digits stand for. `expectation` is "digits" or "whole"; KeyError for anything else."""
    mean, variance = READINGS[expectation](counted)
    return Score(mean, sqrt(variance), scale, counted.written, counted.by_prefix)


def _tree_moments(by_prefix: ByPrefix, prefix: str, num_digits: int) -> Moments:
    """Mean and second moment of the digits after `prefix`, read as one whole number."""
    left = num_digits - len(prefix)
    if left == 0:
        return 0.0, 0.0
    if prefix not in by_prefix:
        # Uniform over 0 … 10^left - 1: mean (n-1)/2, second moment (n-1)(2n-1)/6.
        count = 10.0**left
        return (count - 1) / 2, (count - 1) * (2 * count - 1) / 6
    place = 10.0 ** (left - 1)
    mean = second = 0.0
    for digit, probability in enumerate(_ten(by_prefix, prefix)):
        below, below_second = _tree_moments(by_prefix, f"{prefix}{digit}", num_digits)
        mean += probability * (digit * place + below)
        second += probability * ((digit * place) ** 2 + 2 * digit * place * below + below_second)
    return mean, second


def _digits_and_unit(written: str) -> tuple[str, float]:
    """ "3.72" -> ("372", 0.01)."""
    whole, _, decimals = written.strip().partition(".")
    digits = whole + decimals
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"a written number holds digits and at most one point, got {written!r}")
    return digits, 10.0 ** -len(decimals)


def _ten(by_prefix: ByPrefix, prefix: str) -> tuple[float, ...]:
    probabilities = by_prefix.get(prefix, ())
    if len(probabilities) != 10:
        raise ValueError(f"ten probabilities are needed after {prefix!r}, got {len(probabilities)}")
    return probabilities
