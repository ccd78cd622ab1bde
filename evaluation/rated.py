"""Rated: a published data set -> a run, through a gateway, with every file's fate."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from assay.client import Source
from data.rated import DataSet, RatedFile, held_out, load
from evaluation.measure import Settings, measure, models
from evaluation.runs import BadRun, Run, run_row

DATA_SETS = ("koniq", "spaq", "livec", "ava", "tad66k", "realqa", "konvid")


def files_to_test(data_set: DataSet, limit: int | None) -> Sequence[RatedFile]:
    """The test split, which is the whole set where none was published. BadRun if it is empty."""
    if not data_set.test:
        raise BadRun(f"data set {data_set.name!r} has no files to test on")
    return data_set.test[:limit]


def unseen(
    name: str, trained_on: str, data: Path, limit: int | None = None, held_out_share: float | None = None
) -> Sequence[RatedFile]:
    """The files that a checkpoint trained on `trained_on` has never seen. BadDataSet.

    BadRun if it has seen them all: it learnt from this very set, and no part of that was held out.
    """
    data_set = load(name, data)
    if held_out_share is not None:
        if data_set.train:
            raise BadRun(f"{name} has a published split; leave --held-out-share away")
        data_set = held_out(data_set, held_out_share)
    elif trained_on == name and not data_set.train:
        raise BadRun(
            f"{name} has no published split, so a checkpoint trained on it may have seen every file; say "
            "--held-out-share as in the settings that it was trained with (held_out_share)"
        )
    return files_to_test(data_set, limit)


async def run_of(
    name: str, trained_on: str, files: Sequence[RatedFile], data: Path, settings: Settings, setting: str = ""
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
    settings: Settings,
    limit: int | None = None,
    setting: str = "",
    held_out_share: float | None = None,
) -> Run:
    """A whole data set, from its layout on disk to the run. BadDataSet, BadRun."""
    files = unseen(name, trained_on, data, limit, held_out_share)
    return asyncio.run(run_of(name, trained_on, files, data, settings, setting))
