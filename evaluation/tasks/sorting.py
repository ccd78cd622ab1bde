"""`python -m evaluation sorting`, the sorting toy: does a model that writes numbers digit by digit know their order?

RealQA (arXiv 2503.06141) draws 10 decimals between 1 and 10, has the model sort them, 200 times, and prints accuracy,
recall and hallucination, .968, .998 and .003 for Qwen2-VL-7B. It does not define the three. Neither .968 nor .998 is a
multiple of 1/200, but each is one of 1/2000: so they are counted over the 2,000 numbers and not over the 200 draws.
Hence, as exactly as these facts allow:

accuracy       share of the places of the sorted row that hold the right number; a place that is left out is wrong.
recall         share of the given numbers that were written somewhere, each as often as it was given.
hallucination  share of the written numbers that were not given at all.

`exact`, the share of draws that are sorted without any error, is ours.

The gateway asks about pictures only, so this speaks to a generator itself: by default the one behind a Triton server.
It is named as MODULE:CLASS and imported when it is needed, so that evaluation depends on none of them. Our
generators always look at a clip; the toy has none, so the model is shown an even grey one. Any other model is asked by
way of two files.
"""

import asyncio
import json
import pkgutil
import random
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from assay.form import Form, Free
from assay.frame import Clip, Frame
from assay.generator import Conversation, Generator, Wrote
from evaluation.claims import SORTING
from evaluation.options import exactly_one
from evaluation.runs import BadRun
from evaluation.tables import ReportTable, show

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


DEFAULT_GENERATOR = "assay.triton:TritonGenerator"
GREY = Clip((Frame(np.full((56, 56, 3), 127, np.uint8)),), is_video=False)
ANSWER = Form((Free("sorted", max_tokens=160, stops=("\n\n",)),))
"""10 numbers of four characters with separators are 60 to 70 tokens of Qwen2-VL."""


async def answers_of(generator: Generator, draws: Sequence[Draw]) -> list[str]:
    """One answer a draw, one after the other. Raises what the generator raises."""
    return [await _answer(generator, draw) for draw in draws]


async def _answer(generator: Generator, draw: Draw) -> str:
    async with aclosing(generator.generate(GREY, Conversation(draw.question), ANSWER)) as events:
        return "".join([event.text async for event in events if isinstance(event, Wrote)])


async def answers_of_triton(name: str, address: str, draws: Sequence[Draw]) -> list[str]:
    """`name` is MODULE:CLASS of a Generator that is made of an address and has an awaitable close(). BadRun."""
    try:
        generator = pkgutil.resolve_name(name)(address)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadRun(f"{name!r} is no generator: {error}") from error
    try:
        return await answers_of(generator, draws)
    finally:
        await generator.close()


def write_questions(draws: Sequence[Draw], path: Path) -> None:
    """One JSON object a line, for models that are asked by other means. OSError."""
    lines = [json.dumps({"draw": place, "question": draw.question}) for place, draw in enumerate(draws)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_answers(path: Path, count: int) -> list[str]:
    """Lines of {"draw": …, "answer": …}, in any order. BadRun if one is missing, twice there or no such line."""
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        answers = {int(line["draw"]): str(line["answer"]) for line in lines}
    except OSError as error:
        raise BadRun(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadRun(f'{path} must hold lines of {{"draw": 0, "answer": "…"}}: {error!r}') from error
    if len(lines) != count or set(answers) != set(range(count)):
        raise BadRun(f"{path} must answer each of {count} draws once; it has {len(lines)} lines")
    return [answers[place] for place in range(count)]


def sorting_table(model: str, found: Sorted) -> ReportTable:
    """Ours next to the paper's claim."""
    head = ("model", "draws", "unreadable", "accuracy", "recall", "hallucination", "exact")
    ours = (found.accuracy, found.recall, found.hallucination, found.exact)
    claimed = (SORTING.accuracy, SORTING.recall, SORTING.hallucination)
    rows = (
        (model, str(found.draws), str(found.unreadable), *(f"{value:.3f}" for value in ours)),
        ("Qwen2-VL-7B, as the paper claims", "200", "-", *(f"{value:.3f}" for value in claimed), "-"),
    )
    notes = (
        "Accuracy: share of places with the right number. Recall: share of given numbers that were written. "
        "Hallucination: share of written numbers that were not given. See evaluation/tasks/sorting.py.",
    )
    return ReportTable("Sorting toy: 10 decimals in 1..10", head, rows, notes)


def command(
    triton: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="ask the model behind this server")] = None,
    generator: Annotated[
        str, typer.Option(metavar="MODULE:CLASS", help="what --triton is made into")
    ] = DEFAULT_GENERATOR,
    questions: Annotated[
        Path | None, typer.Option(metavar="FILE.jsonl", help="write the questions, to ask elsewhere")
    ] = None,
    answers: Annotated[Path | None, typer.Option(metavar="FILE.jsonl", help="judge these answers")] = None,
    draws: Annotated[int, typer.Option(min=1, metavar="N")] = 200,
    seed: int = 0,
    model: Annotated[str, typer.Option(metavar="NAME", help="for the table")] = "ours",
) -> int:
    """Ten decimals to sort: accuracy, recall, hallucination."""
    exactly_one(questions=questions, answers=answers, triton=triton)
    drawn = draw_numbers(draws, seed=seed)
    if questions:
        write_questions(drawn, questions)
        return 0
    said = (
        read_answers(answers, len(drawn)) if answers else asyncio.run(answers_of_triton(generator, triton or "", drawn))
    )
    show([sorting_table(model, judge(drawn, said))])
    return 0
