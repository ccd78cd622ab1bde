"""The sorting toy: does a model that writes numbers digit by digit know their order?

RealQA (arXiv 2503.06141) draws 10 decimals between 1 and 10, has the model sort them, 200 times, and prints accuracy,
recall and hallucination, .968, .998 and .003 for Qwen2-VL-7B. It does not define the three. Neither .968 nor .998 is a
multiple of 1/200, but each is one of 1/2000: so they are counted over the 2,000 numbers and not over the 200 draws.
Hence, as exactly as these facts allow:

accuracy       share of the places of the sorted row that hold the right number; a place that is left out is wrong.
recall         share of the given numbers that were written somewhere, each as often as it was given.
hallucination  share of the written numbers that were not given at all.

`exact`, the share of draws that are sorted without any error, is ours.
"""

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Draw:
    """Numbers to sort, as they are written in the question."""

    numbers: tuple[str, ...]

    @property
    def question(self) -> str:
        """The paper's wording is not public; this is ours."""
        return (
            "Sort these numbers from the smallest to the largest: "
            f"{', '.join(self.numbers)}. Answer with the sorted numbers only, separated by commas."
        )

    @property
    def in_order(self) -> list[Decimal]:
        return sorted(map(Decimal, self.numbers))


@dataclass(frozen=True, slots=True)
class Sorted:
    """The three metrics over all draws, and what they stand on."""

    draws: int
    unreadable: int
    """Answers without a single number; they count as nothing right and nothing recalled."""
    accuracy: float
    recall: float
    hallucination: float
    """0 if no number was written at all."""
    exact: float


def draw_numbers(draws: int = 200, count: int = 10, decimals: int = 2, seed: int = 0) -> list[Draw]:
    """Different numbers in 1..10, evenly distributed; equal seeds give equal draws."""
    rng = random.Random(seed)
    unit = 10**decimals
    picks = [rng.sample(range(unit, 10 * unit + 1), count) for _ in range(draws)]
    return [Draw(tuple(f"{pick / unit:.{decimals}f}" for pick in each)) for each in picks]


def numbers_in(answer: str) -> list[Decimal]:
    """Every number that was written, in order; 7.0 and 7.00 are the same number."""
    return [Decimal(number) for number in _NUMBER.findall(answer)]


def judge(draws: Sequence[Draw], answers: Sequence[str]) -> Sorted:
    """ValueError if there is no draw, or not an answer for each."""
    if not draws or len(draws) != len(answers):
        raise ValueError(f"each draw needs one answer, got {len(draws)} draws and {len(answers)} answers")
    given = right = recalled = written = invented = exact = unreadable = 0
    for draw, answer in zip(draws, answers, strict=True):
        truth, said = draw.in_order, numbers_in(answer)
        given += len(truth)
        written += len(said)
        right += sum(a == b for a, b in zip(truth, said, strict=False))
        recalled += (Counter(truth) & Counter(said)).total()
        invented += sum(number not in truth for number in said)
        exact += said == truth
        unreadable += not said
    hallucination = invented / written if written else 0.0
    return Sorted(len(draws), unreadable, right / given, recalled / given, hallucination, exact / len(draws))
