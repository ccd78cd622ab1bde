"""Log: a line for every step of a run, as JSON; its beginning and its end; and the paper's figure 5 drawn of it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from training.recipe.settings import RecipeError

LOG = "log.jsonl"
METRICS = ("ncm", "ncm_star_paper", "ncm_star_renormalised")
Log = Sequence[Mapping[str, Any]]
_EDGE = 100


def read_log(run: Path) -> Log:
    """Lines of `run`/log.jsonl. RecipeError if there is none."""
    file = run / LOG if run.is_dir() else run
    if not file.is_file():
        raise RecipeError(f"{file} is missing; give the --out directory of a stage")
    log = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    if not log:
        raise RecipeError(f"{file} is empty: no step was taken")
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


_TITLES = {"ncm": "NCM", "ncm_star_paper": "NCM* (as printed)", "ncm_star_renormalised": "NCM* (renormalised)"}
_FEW = 20


def plot(runs: Mapping[str, Log], out: Path) -> None:
    """One curve for each run and kind of row. out: .png, .svg or .pdf."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 4, figsize=(16, 3.6), layout="constrained")
    for name, log in runs.items():
        steps = [line["step"] for line in log]
        axes[0].plot(steps, [line["loss"] for line in log], label=name, linewidth=1)
        for axis, metric in zip(axes[1:], METRICS, strict=True):
            for kind, style in (("direct", "-"), ("cot", "--")):
                points = [
                    (line["step"], line[f"{metric}_{kind}"]) for line in log if line[f"{metric}_{kind}"] is not None
                ]
                if points:
                    # A line of one point is not visible.
                    marker = "." if len(points) < _FEW else ""
                    axis.plot(*zip(*points, strict=True), style, label=f"{name}, {kind}", linewidth=1, marker=marker)
    for axis, title in zip(axes, ("cross-entropy", *(_TITLES[metric] for metric in METRICS)), strict=True):
        axis.set(title=title, xlabel="step")
        if axis.lines:
            axis.legend(fontsize=7)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=120)
    pyplot.close(figure)
