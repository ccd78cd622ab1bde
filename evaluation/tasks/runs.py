"""Runs are made, printed as the paper prints its tables, compared in pairs, and held against people's grades.

`python -m evaluation measure`, `from-labels`, `tables`, `compare` and `attributes`.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from assay.checkpoint import FormName
from assay.client import DEFAULT_SERVER
from data import labels
from evaluation import options
from evaluation.figures import attributes as figure_2
from evaluation.figures import plot_claims, scatter
from evaluation.measure import MeasureOptions
from evaluation.paired import compare as paired
from evaluation.people import people_table
from evaluation.rated import labelled_run, measured
from evaluation.runs import DIRECT, FINAL, REASONED, exit_code, read_run, write_run
from evaluation.tables import ablations_table, claimed_tables, compared_table, show, write_markdown

Reading = Literal["final", "direct", "reasoned"]
RunFile = Annotated[Path, typer.Argument(metavar="RUN.json")]
RunOut = Annotated[Path, typer.Option(metavar="RUN.json", help="the run, for tables and figures")]


def measure(
    data_set: options.SetName,
    data: options.SetRoot,
    trained_on: options.TrainedOn,
    out: RunOut,
    held_out_share: options.HeldOutShare = None,
    limit: options.Limit = None,
    server: options.Server = DEFAULT_SERVER,
    form: FormName = "regular",
    concurrency: options.Concurrency = 4,
    setting: Annotated[str, typer.Option(metavar="TEXT", help="what was varied, for the tables")] = "",
) -> int:
    """Score a data set through a gateway and keep every row's fate."""
    asked = MeasureOptions(server, form, concurrency)
    run = measured(data_set, trained_on, data, asked, limit, setting, held_out_share)
    write_run(run, out)
    show(claimed_tables([run])[-1:] if trained_on == "base" else claimed_tables([run]))
    return exit_code([run])


def from_labels(
    data_set: options.SetName,
    data: options.SetRoot,
    trained_on: options.TrainedOn,
    labelled: Annotated[Path, typer.Option("--labels", metavar="LABELS.csv")],
    form: Annotated[str, typer.Option(metavar="TEXT", help="what was asked: direct, regular, 'regression head'")],
    out: RunOut,
    held_out_share: options.HeldOutShare = None,
    limit: options.Limit = None,
) -> int:
    """Scores of `training score` as a run."""
    run = labelled_run(labelled, data_set, trained_on, data, form, limit, "not served", held_out_share)
    write_run(run, out)
    show(claimed_tables([run]))
    return exit_code([run])


def tables(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN.json...")],
    reading: Reading = "final",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="also write tables.md and the figures there")] = None,
) -> int:
    """Runs as the paper's tables, next to its claims, and figures."""
    read = [read_run(path) for path in runs]
    made = [*claimed_tables(read, reading), ablations_table()]
    show(made)
    if out:
        out.mkdir(parents=True, exist_ok=True)
        write_markdown(made, out / "tables.md")
        scatter(read, out / "scatter.png", reading)
        plot_claims(read, out / "claims.png", reading=reading)
        for run in read:
            if any(row.grades for row in run.rows):
                figure_2(run, out / f"figure_2_{run.data_set}.png")
    return exit_code(read)


def compare(
    first: RunFile,
    second: Annotated[Path | None, typer.Argument(metavar="RUN.json", help="default: the first once more")] = None,
    readings: Annotated[
        tuple[str, str] | None, typer.Option(metavar="FIRST SECOND", help="of final, direct, reasoned")
    ] = None,
    seed: options.Seed = 0,
) -> int:
    """Two runs by their served scores, or one by its direct and its reasoned score: a paired bootstrap."""
    one = read_run(first)
    other = read_run(second) if second else one
    chosen = readings or ((FINAL, FINAL) if second else (DIRECT, REASONED))
    if unknown := set(chosen) - {FINAL, DIRECT, REASONED}:
        raise typer.BadParameter(f"no reading {', '.join(sorted(unknown))}; there are final, direct and reasoned")
    names = [f"{path.name}: {reading}" for path, reading in zip((first, second or first), chosen, strict=True)]
    show([compared_table(f"{one.data_set}, paired", names, paired(one, other, chosen, seed=seed))])
    return exit_code([one, other])


def attributes(
    run: RunFile,
    people: Annotated[Path, typer.Option(metavar="LABELS.csv", help="people's grades, as of `python -m data`")],
) -> int:
    """The grades of a run in the regular form against people's, and their mean."""
    read = read_run(run)
    show([people_table(read, labels.grades(labels.read(people)))])
    return exit_code([read])
