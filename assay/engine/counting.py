"""Counting: a number is written digit by digit, with ten probabilities for each."""

from assay.engine.grammar import DigitTokens
from assay.engine.token_row import Making, TokenRow
from assay.generator import Counted, Wrote

Tens = dict[str, tuple[float, ...]]


def count(row: TokenRow, number: DigitTokens) -> Making:
    """Write the greedy digits into the row; Wrote for the lead and each digit, then Counted."""
    segment = number.segment
    if segment.lead:
        row.push(number.lead)
        yield Wrote(segment.name, segment.lead)
    by_prefix: Tens = {}
    prefix, written, joint = "", "", 1.0
    while len(prefix) < segment.integer_digits + segment.decimals:
        logits = yield from row.look()
        tens = tuple(logits[list(number.digits)].double().softmax(0).tolist())
        by_prefix[prefix] = tens
        best = tens.index(max(tens))
        text = str(best) + _point(number, prefix)
        written += text
        yield Wrote(segment.name, text)
        yield from _look_into(row, number, prefix, joint, by_prefix, skip=best)
        row.push(_tokens(number, prefix, best))
        prefix, joint = prefix + str(best), joint * tens[best]
    yield Counted(segment.name, written, by_prefix)


def _look_into(row: TokenRow, number: DigitTokens, prefix: str, joint: float, by_prefix: Tens, skip: int) -> Making:
    """Fill in the probable prefixes that go on from this one; the row is left as it is.

    `joint` is the probability of the prefix, from the first digit on; `skip` is the next digit on the written path,
    -1 off it.
    """
    segment, length = number.segment, len(row)
    if len(prefix) + 1 >= segment.integer_digits + segment.decimals:
        return
    for digit, probability in enumerate(by_prefix[prefix]):
        if digit == skip or joint * probability < segment.branch_probability:
            continue
        row.push(_tokens(number, prefix, digit))
        longer = prefix + str(digit)
        logits = yield from row.look()
        by_prefix[longer] = tuple(logits[list(number.digits)].double().softmax(0).tolist())
        yield from _look_into(row, number, longer, joint * probability, by_prefix, skip=-1)
        row.back_to(length)


def _point(number: DigitTokens, prefix: str) -> str:
    """The point, if it stands behind the digit that comes after this prefix."""
    return "." if number.point and len(prefix) + 1 == number.segment.integer_digits else ""


def _tokens(number: DigitTokens, prefix: str, digit: int) -> tuple[int, ...]:
    return (number.digits[digit], *(number.point if _point(number, prefix) else ()))
