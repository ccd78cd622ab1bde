"""Labelled: a table of labels (of `training.paper score`, or of anybody) -> a run like one that was served.

A file of the test split without a score is a row without a score; it is never left out.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from assay.attribute import KINDS
from data import labels
from data.labels import MODEL, SCORE, Label
from evaluation.rated import label, unseen
from evaluation.runs import DIRECT, FINAL, REASONED, BadRun, Run, RunRow

NO_LABEL = "NO_LABEL"
_READING = {"direct": DIRECT, "regular": REASONED}


def labelled_run(
    file: Path,
    name: str,
    trained_on: str,
    data: Path,
    form: str,
    limit: int | None = None,
    setting: str = "",
    held_out_share: float | None = None,
) -> Run:
    """`form`: what was asked, for the table; direct and regular count as these readings too. BadDataSet, BadRun."""
    said: dict[str, list[Label]] = {}
    for each in labels.read(file):
        said.setdefault(each.file, []).append(each)
    files = unseen(name, trained_on, data, limit, held_out_share)
    wanted = {label(rated.path, data): rated.mos for rated in files}
    if strangers := sorted(set(said) - set(wanted)):
        raise BadRun(f"{file}: {strangers[0]} and {len(strangers) - 1} more files are not of the test split of {name}")
    rows = tuple(_row(name, mos, said.get(name, ()), form) for name, mos in wanted.items())
    models = {each.by: each.by.split(" ") for several in said.values() for each in several}
    return Run(name, trained_on, form, rows, tuple(map(_model, models.values())), setting)


def _row(file: str, mos: float, said: Sequence[Label], form: str) -> RunRow:
    scores = [float(each.value) for each in said if each.item == SCORE]
    graded = {each.item: each.value for each in said if each.item in KINDS and KINDS[each.item].is_graded}
    words = {each.item: each.value for each in said if each.item in KINDS and not KINDS[each.item].is_graded}
    if not scores and not graded:
        return RunRow(file, mos, reason=NO_LABEL, message="the table of labels has none for this file")
    readings = dict.fromkeys((FINAL, *([_READING[form]] if form in _READING else [])), scores[0]) if scores else {}
    return RunRow(file, mos, readings, tuple(scores), (1,) * len(scores), graded, words)


def _model(by: Sequence[str]) -> Mapping[str, str]:
    """As in Label.by; a person has no fingerprints."""
    kind, *rest = by
    name, checkpoint, preprocessing, *_ = (*rest, "", "", "") if kind == MODEL else (" ".join(by), "", "")
    return {"name": name, "checkpoint_fingerprint": checkpoint, "preprocessing_fingerprint": preprocessing}
