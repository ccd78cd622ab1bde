"""Options and outcomes that the commands share."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.client import NoServer
from evaluation.options import count
from evaluation.rated import DATA_SETS
from evaluation.runs import Run
from evaluation.tables import Table


@dataclass(frozen=True, slots=True)
class Command:
    """One word after `python -m evaluation.paper`."""

    summary: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def exit_code(runs: Sequence[Run]) -> int:
    """0 if all rows were scored, 3 if the server was gone for some, else 1."""
    reasons = {reason for run in runs for reason in run.failures()}
    return 3 if NoServer.reason in reasons else 1 if reasons else 0


def add_data(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    parser.add_argument("--data-set", choices=DATA_SETS, default=default, required=default is None)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the set, laid out as its authors do")
    parser.add_argument("--limit", type=count, metavar="N", help="only the first N files of the test split")


def add_trained_on(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trained-on", required=True, metavar="SET", help="what the checkpoint learnt from, or base")


def add_held_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--held-out-share", type=_share, metavar="X", help="for a set without a published split that was trained on"
    )


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text} is no share between 0 and 1")
    return share


def show(tables: Sequence[Table]) -> None:
    """For a terminal, an empty line between two."""
    print("\n\n".join(table.text() for table in tables))
