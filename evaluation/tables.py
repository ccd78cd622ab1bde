"""Tables as the paper prints them, ours next to its claim, and how many rows each number stands on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from evaluation.claims import ABLATIONS, GROUPS, AblationClaim, Claim
from evaluation.correlation import Correlation, plcc_rows, srcc_rows, with_interval
from evaluation.paired import Comparison, Difference
from evaluation.report import columns
from evaluation.runs import FINAL, Run

COUNTS = ("n", "scored", "unreadable", "failed")
FORMS = ("direct", "regular", "natural")
NOT_MEASURED = "not measured"
TWO_MODELS = "scored by more than one model"


@dataclass(frozen=True, slots=True)
class ReportTable:
    """Cells and what has to be said below them."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """For a terminal."""
        return "\n".join([self.title, *columns(self.head, self.rows), *(f"  {note}" for note in self.notes)])

    def markdown(self) -> str:
        lines = [self.head, ("---",) * len(self.head), *self.rows]
        cells = ["| " + " | ".join(line) + " |" for line in lines]
        return "\n".join([f"## {self.title}", "", *cells, "", *(f"{note}\n" for note in self.notes)])


def claimed_tables(runs: Sequence[Run], reading: str = FINAL) -> list[ReportTable]:
    """One table for each group of claims; a row without a run says so. Runs that answer no claim come last."""
    tables = [
        ReportTable(
            title, _HEAD, tuple(row for claim in claims for row in _claimed(claim, runs, reading)), _notes(runs)
        )
        for title, claims in GROUPS.items()
    ]
    claims = [claim for several in GROUPS.values() for claim in several]
    others = [run for run in runs if not any(_answers(run, claim) for claim in claims)]
    if others:
        rows = tuple(_measured(run, None, reading) for run in others)
        tables.append(ReportTable("Further runs, for which the paper prints nothing", _HEAD, rows, _notes(others)))
    return tables


_HEAD = ("test set", "trained on", "form", *COUNTS, "SRCC", "PLCC", "claimed SRCC", "claimed PLCC")


def _claimed(claim: Claim, runs: Sequence[Run], reading: str) -> list[tuple[str, ...]]:
    mine = [run for run in runs if _answers(run, claim)]
    if not mine:
        absent = ("-",) * (1 + len(COUNTS))
        return [(claim.data_set, claim.trained_on, *absent, NOT_MEASURED, NOT_MEASURED, *_claim_cells(claim))]
    return [_measured(run, claim, reading) for run in mine]


def _answers(run: Run, claim: Claim) -> bool:
    """The claims are of the model's own answers; a head in their place has a row among the ablations."""
    return (run.data_set, run.trained_on) == (claim.data_set, claim.trained_on) and run.form in FORMS


def _measured(run: Run, claim: Claim | None, reading: str) -> tuple[str, ...]:
    counts = run.counts(reading)
    numbers = [correlated(run, name, reading) for name in ("SRCC", "PLCC")]
    form = " ".join(part for part in (run.form, run.setting, f"({reading})" if reading != FINAL else "") if part)
    return (run.data_set, run.trained_on, form, *(str(counts[name]) for name in COUNTS), *numbers, *_claim_cells(claim))


def correlated(run: Run, name: str, reading: str = FINAL) -> str:
    """The coefficient with its 95 % interval, or why there is none."""
    if len(run.models) > 1:
        return TWO_MODELS
    return coefficient(with_interval({"SRCC": srcc_rows, "PLCC": plcc_rows}[name], *run.pairs(reading)))


def coefficient(found: Correlation) -> str:
    """.948 [.943, .953]"""
    if found.value is None:
        return f"none: {found.reason}"
    if found.low is None or found.high is None:
        return f"{found.value:.3f} (no interval: {found.reason})"
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _claim_cells(claim: Claim | None) -> tuple[str, str]:
    if claim is None:
        return "-", "-"
    return f"{claim.srcc:.3f}", "-" if claim.plcc is None else f"{claim.plcc:.3f}"


def _notes(runs: Sequence[Run]) -> tuple[str, ...]:
    said = [
        f"{run.data_set}: without a score: "
        + ", ".join(f"{count} {reason}" for reason, count in run.failures().items())
        for run in runs
        if run.failures()
    ]
    models = {f"{model['name']} {model['checkpoint_fingerprint'][:12]}" for run in runs for model in run.models}
    scored_by = [f"Scored by {', '.join(sorted(models))}."] if models else []
    return (
        "Ours: 95 % bootstrap interval over the scored files. Claimed: as the paper prints it, of its own 7B model.",
        *scored_by,
        *dict.fromkeys(said),
    )


def compared_table(title: str, names: Sequence[str], comparison: Comparison) -> ReportTable:
    """Two settings and their difference."""
    head = ("", names[0], names[1], "difference", "verdict")
    note = (
        f"{comparison.compared} of {comparison.n} files have both scores; {comparison.only_first} only the first, "
        f"{comparison.only_second} only the second, {comparison.neither} neither."
    )
    return ReportTable(title, head, tuple(_difference(each) for each in comparison.differences), (note,))


def _difference(each: Difference) -> tuple[str, ...]:
    first, second = (f"{value:.3f}" if isfinite(value) else "-" for value in (each.first, each.second))
    verdict = {None: "unknown", True: "differs", False: "no difference found"}[each.is_noticeable]
    return each.statistic, first, second, coefficient(each.change), verdict


def ablations_table(measured: Mapping[AblationClaim, str] | None = None, note: str = "") -> ReportTable:
    """Rows that need training runs of their own: the paper's claims, and ours where a run was made."""
    ours = measured or {}
    head = ("table", "setting", "claimed", "ours", "run of training ablations")
    rows = tuple((each.table, each.setting, each.claimed, ours.get(each, NOT_MEASURED), each.run) for each in ABLATIONS)
    notes = ("Claimed: as the paper prints it, of its own 7B model.", *([note] if note else []))
    return ReportTable("Ablations", head, rows, notes)


def write_markdown(tables: Sequence[ReportTable], path: Path) -> None:
    """OSError."""
    lines = ["# Ours next to the paper's claims\n", *(table.markdown() for table in tables)]
    path.write_text("\n".join(lines), encoding="utf-8")


def show(tables: Sequence[ReportTable]) -> None:
    """For a terminal, an empty line between two."""
    print("\n\n".join(table.text() for table in tables))
