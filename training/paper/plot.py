"""The paper's figure 5: loss, NCM and NCM* over the steps of training, from the runs' logs."""

from collections.abc import Mapping
from pathlib import Path

from training.paper.log import METRICS, Log

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
                    # A line of one point is not seen.
                    marker = "." if len(points) < _FEW else ""
                    axis.plot(*zip(*points, strict=True), style, label=f"{name}, {kind}", linewidth=1, marker=marker)
    for axis, title in zip(axes, ("cross-entropy", *(_TITLES[metric] for metric in METRICS)), strict=True):
        axis.set(title=title, xlabel="step")
        if axis.lines:
            axis.legend(fontsize=7)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=120)
    pyplot.close(figure)
