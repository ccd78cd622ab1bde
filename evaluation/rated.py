"""Rated: a published data set -> a run with every file's fate, through a gateway or from a table of labels."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from assay.attribute import KINDS
from assay.client import Source
from data import labels
from data.labels import MODEL, SCORE, Label
from data.rated import DataSet, RatedFile, held_out, load
from evaluation.measure import MeasureOptions, measure, models
from evaluation.runs import DIRECT, FINAL, REASONED, BadRun, Run, RunRow, run_row


def files_to_test(data_set: DataSet, limit: int | None) -> Sequence[RatedFile]:
    """The test split, which is the whole set where none was published. BadRun if it is empty."""
    if not data_set.test:
        raise BadRun(f"data set {data_set.name!r} has no files to test on")
    return data_set.test[:limit]


def unseen(
    name: str, trained_on: str, data: Path, limit: int | None = None, held_out_share: float | None = None
) -> Sequence[RatedFile]:
    """The files that a checkpoint trained on `trained_on` was not trained on. BadDataSet.

    BadRun if it was trained on them all: it learnt from this very set, and no part of that was held out.
    """
    data_set = load(name, data)
    if held_out_share is not None:
        if data_set.train:
            raise BadRun(f"{name} has a published split; leave --held-out-share away")
        data_set = held_out(data_set, held_out_share)
    elif trained_on == name and not data_set.train:
        raise BadRun(
            f"{name} has no published split, so a checkpoint trained on it may have learnt from every file; say "
            "--held-out-share as in the settings that it was trained with (held_out_share)"
        )
    return files_to_test(data_set, limit)


async def run_of(
    name: str, trained_on: str, files: Sequence[RatedFile], data: Path, settings: MeasureOptions, setting: str = ""
) -> Run:
    """Scores every file; whatever goes wrong, a server that is gone included, becomes the reason of its row."""
    outcomes = await measure([_source(file.path) for file in files], settings)
    rows = tuple(
        run_row(label(file.path, data), file.mos, outcome) for file, outcome in zip(files, outcomes, strict=True)
    )
    return Run(name, trained_on, settings.form, rows, tuple(asdict(model) for model in models(outcomes)), setting)


def label(path: Path, data: Path) -> str:
    """The file as it is named in runs: relative, so that two machines' runs can be compared."""
    return path.relative_to(data).as_posix() if path.is_relative_to(data) else path.name


def _source(path: Path) -> Callable[[], Source]:
    return lambda: path


def measured(
    name: str,
    trained_on: str,
    data: Path,
    settings: MeasureOptions,
    limit: int | None = None,
    setting: str = "",
    held_out_share: float | None = None,
) -> Run:
    """A whole data set, from its layout on disk to the run. BadDataSet, BadRun."""
    files = unseen(name, trained_on, data, limit, held_out_share)
    return asyncio.run(run_of(name, trained_on, files, data, settings, setting))


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
