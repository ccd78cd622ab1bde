"""`python -m benchmarks.baselines --data DIR --server HOST:PORT`: one table, the same held-out photos for everyone.

SRCC and PLCC with the raters' mean aesthetic and mean quality scores, 95 % bootstrap intervals, and how far each
method's SRCC stands from the served model's (paired bootstrap). Exit codes are those of `python -m evaluation`.
"""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from assay.cli.options import with_options
from assay.client import Judgement
from benchmarks.baselines import brisque, lite0
from data import command_line
from evaluation import options
from evaluation.correlation import difference, plcc_rows, srcc_rows, with_interval
from evaluation.measure import MeasureOptions, Outcome, exit_code, measure
from evaluation.report import cell, columns, opening, opening_lines, write_json

Scores = Mapping[str, NDArray[np.float64]]
"""Target -> one number a photo."""


app = command_line.application("The same held-out photos for everyone: the served model and its baselines.")


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints; the exit code."""
    return command_line.run(app, "benchmarks.baselines", argv)


@app.command()
@with_options(options.asking)
def compare(
    asked: MeasureOptions,
    data: Annotated[Path, typer.Option(metavar="DIR", help="folder with para-train.csv and its archives")],
    runs: Annotated[Path, typer.Option(metavar="DIR", help="cache of lite0's features")] = Path("runs/baselines"),
    seed: options.Seed = 0,
    limit: options.Limit = None,
    out: options.JsonOut = None,
) -> int:
    """SRCC and PLCC with the raters' mean scores, and how far each method's SRCC stands from the served model's."""
    runs.mkdir(parents=True, exist_ok=True)
    judged = lite0.judged(data, runs)
    chosen = slice(limit)
    photos = judged.photos[chosen]
    mos = {target: values[chosen] for target, values in judged.mos.items()}
    ridge = {target: values[chosen] for target, values in judged.scores.items()}
    outcomes = asyncio.run(measure([partial(_encoded, photo.encoded) for photo in photos], asked))
    methods: dict[str, Scores] = {"lite0, frozen, + ridge": ridge, **_served(outcomes)}
    missing = {}
    try:
        methods["BRISQUE"] = dict.fromkeys(mos, brisque.scores(photos))
    except brisque.MethodUnavailable as why:
        missing["BRISQUE"] = str(why)
    numbers = summary(methods, mos, outcomes, asked, seed=seed)
    numbers |= {"missing": missing, "ridge_trained_on": judged.trained_on}
    print(table(numbers))
    if out:
        write_json(numbers, out)
    return exit_code(outcomes)


def _encoded(file: bytes) -> bytes:
    return file


def _served(outcomes: Sequence[Outcome]) -> dict[str, Scores]:
    """The served score, and its direct half where there is another, for both targets; NaN where there is none."""
    judgements = [outcome if isinstance(outcome, Judgement) else None for outcome in outcomes]
    score = np.array([each.score.value if each else np.nan for each in judgements])
    direct = np.array([each.windows[0].direct_score.value if each else np.nan for each in judgements])
    name = next((each.model.name for each in judgements if each), "served")
    found: dict[str, Scores] = {name: dict.fromkeys(lite0.TARGETS, score)}
    if any(each and each.windows[0].reasoned_score for each in judgements):
        found[f"{name}, direct alone"] = dict.fromkeys(lite0.TARGETS, direct)
    return found


def summary(
    methods: Mapping[str, Scores], mos: Scores, outcomes: Sequence[Outcome], settings: MeasureOptions, *, seed: int
) -> dict[str, Any]:
    """Only photos that the server scored count, for every method alike."""
    is_scored = np.array([isinstance(outcome, Judgement) for outcome in outcomes])
    _, served, *_ = methods
    rows = []
    for method, scores in methods.items():
        for target, values in mos.items():
            mine, theirs, said = scores[target][is_scored], methods[served][target][is_scored], values[is_scored]
            rows.append(
                {
                    "method": method,
                    "target": target,
                    "srcc": asdict(with_interval(srcc_rows, mine, said, seed=seed)),
                    "plcc": asdict(with_interval(plcc_rows, mine, said, seed=seed)),
                    "srcc_gain": asdict(difference(srcc_rows, mine, theirs, said, seed=seed)),
                }
            )
    return {**opening(outcomes, settings), "scored": int(is_scored.sum()), "served": served, "rows": rows}


def table(numbers: dict[str, Any]) -> str:
    """The report in lines for a terminal."""
    head = ("method", "target", "SRCC", "95 %", "PLCC", "95 %", f"SRCC - {numbers['served']}'s", "95 %")
    rows = [
        (
            row["method"],
            row["target"],
            *(text for key in ("srcc", "plcc", "srcc_gain") for text in _cells(row[key], key)),
        )
        for row in sorted(numbers["rows"], key=lambda row: row["target"])
    ]
    return "\n".join(
        [
            *opening_lines(numbers),
            f"photos          {numbers['scored']} held-out photos of PARA, the same for every method",
            f"ridge           fitted to {numbers['ridge_trained_on']} other photos of PARA",
            "",
            *columns(head, rows),
            *(f"{method}: not run, {why}" for method, why in numbers["missing"].items()),
        ]
    )


def _cells(found: dict[str, Any], key: str) -> tuple[str, str]:
    form = "+.3f" if key == "srcc_gain" else ".3f"
    if found["value"] is None:
        return "-", "-"
    return cell(found["value"], form), f"{cell(found['low'], form)} … {cell(found['high'], form)}"


if __name__ == "__main__":
    sys.exit(main())
