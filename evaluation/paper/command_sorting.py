"""`sorting`: ten decimals to sort, asked of a model of ours or judged from a file of answers."""

import argparse
import asyncio
from pathlib import Path

from assay.errors import InvalidRequest
from evaluation.options import count
from evaluation.paper.command import Command, show
from evaluation.sorting_asked import (
    DEFAULT_GENERATOR,
    answers_of_triton,
    read_answers,
    sorting_table,
    write_questions,
)
from evaluation.tasks.sorting import draw_numbers, judge


def _sorting_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--triton", metavar="HOST:PORT", help="ask the model behind this Triton server")
    parser.add_argument(
        "--generator", default=DEFAULT_GENERATOR, metavar="MODULE:CLASS", help="what --triton is made into"
    )
    parser.add_argument("--questions", type=Path, metavar="FILE.jsonl", help="write the questions, to ask elsewhere")
    parser.add_argument("--answers", type=Path, metavar="FILE.jsonl", help="judge these answers")
    parser.add_argument("--draws", type=count, default=200, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="ours", metavar="NAME", help="for the table")


def _sorting(options: argparse.Namespace) -> int:
    draws = draw_numbers(options.draws, seed=options.seed)
    if options.questions:
        write_questions(draws, options.questions)
        return 0
    if bool(options.triton) == bool(options.answers):
        raise InvalidRequest("give exactly one of --questions, --answers and --triton", field="answers")
    answers = (
        read_answers(options.answers, len(draws))
        if options.answers
        else asyncio.run(answers_of_triton(options.generator, options.triton, draws))
    )
    show([sorting_table(options.model, judge(draws, answers))])
    return 0


SORTING = Command("Ten decimals to sort: accuracy, recall, hallucination", _sorting_options, _sorting)
