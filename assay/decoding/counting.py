"""Counting: a number is written digit by digit, with ten probabilities for each."""

from collections.abc import Iterator

from assay.decoding.grammar import DigitTokens
from assay.decoding.lookahead import Making, TokenRow
from assay.generator import Counted, Wrote

Tens = tuple[float, ...]


def count(row: TokenRow, number: DigitTokens) -> Making:
    """Write the greedy digits into the row; Wrote for the whole number, as a part of one says nothing, and Counted.

    One forward a position: all prefixes that are looked into have the same length, and are read side by side.
    """
    segment = number.segment
    if segment.lead:
        row.push(number.lead)
    by_prefix: dict[str, Tens] = {}
    joints, prefix, written = {"": 1.0}, "", ""
    for _ in range(segment.integer_digits + segment.decimals):
        others = [each for each in joints if each != prefix]
        back = len(_tokens(number, prefix))
        here, beside = yield from row.look_aside([_tokens(number, each) for each in others], back)
        for each, seen in zip([prefix, *others], [here, *beside], strict=True):
            by_prefix[each] = tuple(seen[list(number.digits)].double().softmax(0).tolist())
        best = by_prefix[prefix].index(max(by_prefix[prefix]))
        prefix, written = f"{prefix}{best}", f"{written}{best}{_point(number, prefix)}"
        row.push(_tokens(number, prefix)[back:])
        joints = dict(_longer(joints, by_prefix, prefix, segment.branch_probability))
    yield Wrote(segment.name, segment.lead + written)
    yield Counted(segment.name, written, by_prefix)


def _longer(
    joints: dict[str, float], by_prefix: dict[str, Tens], written: str, least: float
) -> Iterator[tuple[str, float]]:
    """The prefixes of one digit more that are looked into, and their probabilities: what is written, and all others
    at least so probable."""
    for prefix, joint in joints.items():
        for digit, probability in enumerate(by_prefix[prefix]):
            longer = f"{prefix}{digit}"
            if longer == written or joint * probability >= least:
                yield longer, joint * probability


def _point(number: DigitTokens, prefix: str) -> str:
    """The point, if it stands behind the digit that comes after this prefix."""
    return "." if number.point and len(prefix) + 1 == number.segment.integer_digits else ""


def _tokens(number: DigitTokens, prefix: str) -> tuple[int, ...]:
    """The prefix as tokens, the point included where it stands behind the last digit."""
    tokens: list[int] = []
    for place, digit in enumerate(prefix):
        tokens.append(number.digits[int(digit)])
        if _point(number, prefix[:place]):
            tokens += number.point
    return tuple(tokens)
