"""`python -m evaluation ablations`: what `training ablations` left behind -> our numbers next to the paper's claims."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from data import labels
from evaluation.claims import ABLATIONS, AblationClaim
from evaluation.options import Limit, SetName, SetRoot
from evaluation.people import Grades, agreement, mean_of
from evaluation.rated import labelled_run
from evaluation.runs import Run
from evaluation.tables import ablations_table, correlated, show, write_markdown
from training.recipe.ablations import LABELS, read_ablations
from training.recipe.log import LOG, read_log, summary

NO_PEOPLE = "none: people's grades of the test pictures are needed (--people)"


@dataclass(frozen=True, slots=True)
class AblationRuns:
    """Where the runs are, and what they are measured against."""

    runs: Path
    """--out of `training ablations`."""
    data_set: str
    data: Path
    realqa: Path
    people: Grades | None
    """Of RealQA's test split."""
    limit: int | None = None
    setting: str = ""


def measured(sources: AblationRuns) -> Mapping[AblationClaim, str]:
    """Our number of every claim whose run is there. BadDataSet, BadRun, SettingsError."""
    found = {}
    for claim in ABLATIONS:
        needed = LABELS if claim.measure in ("score", "grades") else LOG
        if (sources.runs / claim.run / needed).is_file():
            found[claim] = _number(claim, sources)
    return found


def run_of(name: str, sources: AblationRuns) -> Run:
    """The scores or grades of one ablation, as a run. KeyError for a name that ablations.toml does not have."""
    ablation = read_ablations()[name]
    is_realqa = ablation.stage == "stage1"
    data_set, data = ("realqa", sources.realqa) if is_realqa else (sources.data_set, sources.data)
    form = "regression head" if ablation.stage == "regression" else ablation.ask
    setting = ", ".join(part for part in (name, sources.setting) if part)
    return labelled_run(sources.runs / name / LABELS, data_set, data_set, data, form, sources.limit, setting)


def _number(claim: AblationClaim, sources: AblationRuns) -> str:
    if claim.measure == "score":
        run = run_of(claim.run, sources)
        return _counted(run, " / ".join(correlated(run, name) for name in ("SRCC", "PLCC")))
    if claim.measure == "grades":
        if sources.people is None:
            return NO_PEOPLE
        run = run_of(claim.run, sources)
        return _counted(run, mean_of(agreement(run, sources.people)))
    return _ends(sources.runs / claim.run, claim.measure)


def _counted(run: Run, said: str) -> str:
    """Never a coefficient without the files that it lacks."""
    missing = sum(bool(row.reason) for row in run.rows)
    return f"{run.data_set} {said}, n {len(run.rows)}" + (f", {missing} without a label" if missing else "")


def _ends(run: Path, metric: str) -> str:
    """1.43 -> 0.24, for each kind of row that the metric is logged for."""
    found = summary(read_log(run))
    names = {metric: ""} if metric == "loss" else {f"{metric}_direct": "direct ", f"{metric}_cot": "CoT "}
    ends = {kind: found[name] for name, kind in names.items()}
    return ", ".join(
        kind + (f"{pair[0]:.2f} -> {pair[1]:.2f}" if pair else "no such rows") for kind, pair in ends.items()
    )


def command(
    data: SetRoot,
    runs: Annotated[Path, typer.Option(metavar="DIR", help="--out of `training ablations`")],
    realqa: Annotated[Path, typer.Option(metavar="DIR", help="the set of stage 1")],
    data_set: SetName = "koniq",
    people: Annotated[
        Path | None, typer.Option(metavar="LABELS.csv", help="people's grades of RealQA's test pictures")
    ] = None,
    limit: Limit = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE.md", help="also write the table there")] = None,
    note: Annotated[str, typer.Option(metavar="TEXT", help="below the table")] = "",
) -> int:
    """What `training ablations` made, next to the paper's claims."""
    grades = labels.grades(labels.read(people)) if people else None
    tables = [ablations_table(measured(AblationRuns(runs, data_set, data, realqa, grades, limit)), note)]
    show(tables)
    if out:
        write_markdown(tables, out)
    return 0
