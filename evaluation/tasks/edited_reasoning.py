"""`python -m evaluation edited-reasoning`: do words, grades and score agree, and does the score move when they change?

Agreement is read from runs (regular and natural form, through the gateway). Change is read from edited rows: a score
that stays where it is when every grade turns to its worst was not made of the grades.
"""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from assay.attribute import KINDS
from assay.checkpoint import read_checkpoint
from data.rated import load
from evaluation.correlation import srcc, srcc_rows, with_interval
from evaluation.edited import AS_WRITTEN, DIRECT, EDITS, EditedRow, edited_rows
from evaluation.measure import MeasureOptions
from evaluation.options import Limit, SetName, SetRoot, TrainedOn
from evaluation.rated import files_to_test, label, measured
from evaluation.report import cell, share
from evaluation.runs import REASONED, Run, RunRow, exit_code
from evaluation.tables import ReportTable, coefficient, show, write_markdown

_GOOD = re.compile(
    r"\b(?:beautiful|captivating|clean|clear|excellent|fine|good|great|sharp|strong|thoughtful|vivid|well)\b"
)
_BAD = re.compile(
    r"\b(?:badly|blurry|busy|cluttered|dark|distracting|dull|messy|noisy|overexposed|pale|poor|tilted|weak)\b"
)
_GRADED = tuple(name for name, kind in KINDS.items() if kind.is_graded)
_EXPECTED = {"best grades": 1, "worst grades": -1}
"""Direction in which the score has to move."""


def tone(text: str) -> int:
    """Praising minus blaming words, of the two short lists above: crude, but the same for every checkpoint."""
    return len(_GOOD.findall(text.lower())) - len(_BAD.findall(text.lower()))


def goodness(name: str, grade: str) -> float:
    """0 (worst) to 1 (best); of a bipolar attribute the middle is best."""
    grades = KINDS[name].grades
    place = grades.index(grade) / (len(grades) - 1)
    return 1.0 - abs(2 * place - 1) if KINDS[name].is_bipolar else place


def agreement_table(regular: Run, natural: Run | None = None) -> ReportTable:
    """Per attribute: does its grade go with the score, with the words of its reason, and with the free prose?"""
    rows = tuple(_agreement(name, regular, natural) for name in _GRADED)
    counts = [run.counts(REASONED) for run in (regular, natural) if run]
    said = [
        f"n {each['n']}, scored {each['scored']}, unreadable {each['unreadable']}, failed {each['failed']}"
        for each in counts
    ]
    forms = [f"{form} form: {sentence}." for form, sentence in zip(("regular", "natural"), said, strict=False)]
    overall = "All grades together (mean goodness) with the score: " + _all_grades(regular)
    head = ("attribute", "n", "grade with score", "reason's tone with grade", "prose = grade", "of", "not in the prose")
    return ReportTable("Do the words, the grades and the score agree?", head, rows, (overall, *forms, _MEANING))


_MEANING = (
    "SRCC of the grade's goodness (0 worst to 1 best) with the reasoned score, and of the reason's tone with that "
    "goodness; share of pictures of which the free prose (Q2) says the grade of the regular form (Q3)."
)


def _agreement(name: str, regular: Run, natural: Run | None) -> tuple[str, ...]:
    graded = [row for row in regular.rows if name in row.grades and REASONED in row.scores]
    grades = [goodness(name, row.grades[name]) for row in graded]
    tones = [(tone(row.words[name]), good) for row, good in zip(graded, grades, strict=True) if row.words.get(name)]
    prose = {row.file: row.grades for row in natural.rows if not row.reason} if natural else {}
    pairs = [(row.grades[name], prose[row.file].get(name)) for row in graded if row.file in prose]
    said = [(grade, other) for grade, other in pairs if other]
    return (
        name,
        str(len(graded)),
        _rank([row.scores[REASONED] for row in graded], grades),
        _rank(*zip(*tones, strict=True)) if tones else "-",
        cell(share(sum(grade == other for grade, other in said), len(said))),
        str(len(said)),
        str(len(pairs) - len(said)),
    )


def _rank(a: Sequence[float], b: Sequence[float]) -> str:
    found = srcc(np.array(a, np.float64), np.array(b, np.float64))
    return cell(found) if np.isfinite(found) else "-"


def _all_grades(run: Run) -> str:
    graded: list[RunRow] = [row for row in run.rows if row.grades and REASONED in row.scores]
    means = [float(np.mean([goodness(name, grade) for name, grade in row.grades.items()])) for row in graded]
    scores = np.array([row.scores[REASONED] for row in graded], np.float64)
    return "SRCC " + coefficient(with_interval(srcc_rows, scores, np.array(means, np.float64)))


def edits_table(rows: Sequence[EditedRow]) -> ReportTable:
    """What each edit does to the score that was written after the unedited reasoning."""
    edits = [
        edit for edit in (DIRECT, AS_WRITTEN, *EDITS) if any(edit in row.scores or edit in row.failures for row in rows)
    ]
    head = ("reasoning", "n", "scored", "failed", "mean change", "mean |change|", "as expected", "SRCC with MOS")
    reasons: dict[str, int] = {}
    for row in rows:
        for reason in {failed.reason for failed in row.failures.values()}:
            reasons[reason] = reasons.get(reason, 0) + 1
    notes = [
        f"Pictures without a score under some edit: {', '.join(f'{n} {reason}' for reason, n in reasons.items())}."
    ]
    return ReportTable(
        "What happens to the score when the reasoning is withheld or edited?",
        head,
        tuple(_edit(edit, rows) for edit in edits),
        (_CHANGE, *(notes if reasons else ())),
    )


_CHANGE = (
    "Change: score after the edited reasoning minus score after the reasoning as written, same picture, in units of "
    "the scale. As expected: share that rises with the best grades, or falls with the worst."
)


def _edit(edit: str, rows: Sequence[EditedRow]) -> tuple[str, ...]:
    scored = [row for row in rows if edit in row.scores]
    changes = [row.scores[edit] - row.scores[AS_WRITTEN] for row in scored if AS_WRITTEN in row.scores]
    sign = _EXPECTED.get(edit)
    numbers = np.array([(row.scores[edit], row.mos) for row in scored], np.float64).reshape(-1, 2).T
    return (
        edit,
        str(len(rows)),
        str(len(scored)),
        str(sum(edit in row.failures for row in rows)),
        cell(float(np.mean(changes)) if changes else None, "+.3f"),
        cell(float(np.mean(np.abs(changes))) if changes else None),
        cell(share(sum(change * sign > 0 for change in changes), len(changes)) if sign else None),
        coefficient(with_interval(srcc_rows, *numbers)),
    )


def edited_to_json(rows: Sequence[EditedRow]) -> list[Mapping[str, object]]:
    """Every row with its failures, for the record."""
    return [
        {
            "file": row.file,
            "mos": row.mos,
            "scores": row.scores,
            "failures": {edit: [failed.reason, failed.message] for edit, failed in row.failures.items()},
        }
        for row in rows
    ]


def faithful(
    name: str,
    trained_on: str,
    data: Path,
    server: str,
    addresses: Mapping[str, str],
    checkpoint: Path,
    out: Path,
    limit: int | None = None,
) -> tuple[list[Run], list[ReportTable]]:
    """Runs in both reasoned forms, edits in the regular one; writes faithfulness.md and edited.json."""
    out.mkdir(parents=True, exist_ok=True)
    runs = [measured(name, trained_on, data, MeasureOptions(server, form, 2), limit) for form in ("regular", "natural")]
    files = [(label(file.path, data), file.path, file.mos) for file in files_to_test(load(name, data), limit)]
    edited = asyncio.run(edited_rows(addresses, read_checkpoint(checkpoint), "regular", files))
    tables = [agreement_table(*runs), edits_table(edited)]
    (out / "edited.json").write_text(json.dumps(edited_to_json(edited), indent=1) + "\n", encoding="utf-8")
    write_markdown(tables, out / "faithfulness.md")
    return runs, tables


Address = Annotated[str, typer.Option(metavar="HOST:PORT", help="as `assay up` prints it")]


def command(
    data_set: SetName,
    data: SetRoot,
    trained_on: TrainedOn,
    checkpoint: Annotated[Path, typer.Option(metavar="DIR", help="the assay.toml that is served")],
    server: Address,
    attribute_extraction: Address,
    scoring: Address,
    out: Annotated[Path, typer.Option(metavar="DIR")],
    limit: Limit = None,
) -> int:
    """Do words, grades and score agree, and what do edits of the reasoning do to the score?"""
    addresses = {"attribute_extraction": attribute_extraction, "scoring": scoring}
    runs, tables = faithful(data_set, trained_on, data, server, addresses, checkpoint, out, limit)
    show(tables)
    return exit_code(runs)
