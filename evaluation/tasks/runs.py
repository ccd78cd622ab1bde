"""`measure`, `tables`, `compare`: runs are made, printed as the paper prints its tables, and compared in pairs."""

import argparse
from pathlib import Path

from assay.client import DEFAULT_SERVER
from evaluation.figures import attributes, beside_claims, scatter
from evaluation.measure import Settings
from evaluation.options import count
from evaluation.paired import compare
from evaluation.paper.command import Command, add_data, add_held_out, add_trained_on, exit_code, show
from evaluation.rated import measured
from evaluation.runs import DIRECT, FINAL, READINGS, REASONED, read_run, write_run
from evaluation.tables import ablations_table, claimed_tables, compared_table, write_markdown


def _measure_options(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    add_trained_on(parser)
    add_held_out(parser)
    parser.add_argument("--server", default=DEFAULT_SERVER, metavar="HOST:PORT", help=f"default {DEFAULT_SERVER}")
    parser.add_argument("--form", choices=("direct", "regular", "natural"), default="regular")
    parser.add_argument("--concurrency", type=count, default=4, metavar="N")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN.json", help="the run, for tables and figures")


def _measure(options: argparse.Namespace) -> int:
    settings = Settings(options.server, options.form, options.concurrency)
    told = options.data_set, options.trained_on, options.data
    run = measured(*told, settings, options.limit, held_out_share=options.held_out_share)
    write_run(run, options.out)
    show(claimed_tables([run])[-1:] if options.trained_on == "base" else claimed_tables([run]))
    return exit_code([run])


def _tables_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN.json")
    parser.add_argument("--reading", choices=READINGS, default=FINAL)
    parser.add_argument("--out", type=Path, metavar="DIR", help="also write tables.md and the figures there")


def _tables(options: argparse.Namespace) -> int:
    runs = [read_run(path) for path in options.runs]
    tables = [*claimed_tables(runs, options.reading), ablations_table()]
    show(tables)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        write_markdown(tables, options.out / "tables.md")
        scatter(runs, options.out / "scatter.png", options.reading)
        beside_claims(runs, options.out / "claims.png", reading=options.reading)
        for run in runs:
            if any(row.grades for row in run.rows):
                attributes(run, options.out / f"figure_2_{run.data_set}.png")
    return exit_code(runs)


def _compare_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("first", type=Path, metavar="RUN.json")
    parser.add_argument("second", type=Path, nargs="?", metavar="RUN.json", help="default: the first once more")
    parser.add_argument("--readings", nargs=2, choices=READINGS, metavar=("FIRST", "SECOND"), help=", ".join(READINGS))
    parser.add_argument("--seed", type=int, default=0)


def _compare(options: argparse.Namespace) -> int:
    """Two runs by their served scores; one run by its direct and its reasoned score."""
    first = read_run(options.first)
    second = read_run(options.second) if options.second else first
    readings = options.readings or ((FINAL, FINAL) if options.second else (DIRECT, REASONED))
    names = [
        f"{path.name}: {reading}"
        for path, reading in zip((options.first, options.second or options.first), readings, strict=True)
    ]
    comparison = compare(first, second, readings, seed=options.seed)
    show([compared_table(f"{first.data_set}, paired", names, comparison)])
    return exit_code([first, second])


MEASURE = Command("Score a data set through a gateway and keep every row's fate", _measure_options, _measure)
TABLES = Command("Runs as the paper's tables, beside its claims, and figures", _tables_options, _tables)
COMPARE = Command("Two runs, or direct against reasoned: a paired bootstrap", _compare_options, _compare)
