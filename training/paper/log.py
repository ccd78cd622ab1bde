"""Log: a line for every step of a run, as JSON; what it says of the beginning and the end of the run."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from training.paper.settings import SettingsError

LOG = "log.jsonl"
METRICS = ("ncm", "ncm_star_paper", "ncm_star_renormalised")
Log = Sequence[Mapping[str, Any]]
_EDGE = 100


def read_log(run: Path) -> Log:
    """Lines of `run`/log.jsonl. SettingsError if there is none."""
    file = run / LOG if run.is_dir() else run
    if not file.is_file():
        raise SettingsError(f"{file} is missing; give the --out directory of a stage")
    log = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    if not log:
        raise SettingsError(f"{file} is empty: no step was taken")
    return log


def summary(log: Log) -> dict[str, tuple[float, float] | None]:
    """Metric -> its mean over the first and the last 100 steps (fewer, in a shorter run: a half each)."""
    names = ["loss", *(f"{metric}_{kind}" for kind in ("direct", "cot") for metric in METRICS)]
    edge = min(_EDGE, max(1, len(log) // 2))
    found: dict[str, tuple[float, float] | None] = {}
    for name in names:
        ends = [[line[name] for line in part if line.get(name) is not None] for part in (log[:edge], log[-edge:])]
        found[name] = (fmean(ends[0]), fmean(ends[1])) if all(ends) else None
    return found
