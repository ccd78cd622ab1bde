"""Asks a model to sort: any Generator of ours, or any other model by way of two files.

The gateway asks about pictures only, so this speaks to a generator itself: by default the one behind a Triton server.
It is named as MODULE:CLASS and looked up when it is needed, so that evaluation depends on none of them. Our
generators always look at a clip; the toy has none, so the model is shown an even grey one.
"""

import json
import pkgutil
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

import numpy as np

from assay.form import Form, Free
from assay.frame import Clip, Frame
from assay.generator import Conversation, Generator, Wrote
from evaluation.claims import SORTING
from evaluation.runs import BadRun
from evaluation.tables import Table
from evaluation.tasks.sorting import Draw, Sorted

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


def sorting_table(model: str, found: Sorted) -> Table:
    """Ours beside the paper's claim."""
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
    return Table("Sorting toy: 10 decimals in 1..10", head, rows, notes)
