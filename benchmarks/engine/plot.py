"""Throughput against latency, a panel for each workload; a line joins what one engine does with more in flight."""

from collections.abc import Mapping
from pathlib import Path
from statistics import median

import matplotlib

from benchmarks.engine.peers.process import Measured

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.ticker import NullFormatter, ScalarFormatter

Cell = tuple[str, int, str]
"""Workload, requests in flight, engine."""
_MARKERS = "osD^vPX"


def plot(found: Mapping[Cell, list[Measured]], path: Path, caption: str) -> None:
    """Writes a picture in the format that the file's name ends in; `caption` says on what it was measured."""
    workloads = list(dict.fromkeys(workload for workload, *_ in found))
    engines = list(dict.fromkeys(engine for *_, engine in found))
    figure, panels = pyplot.subplots(1, len(workloads), figsize=(4.6 * len(workloads), 4.6), squeeze=False)
    for panel, workload in zip(panels[0], workloads, strict=True):
        for place, engine in enumerate(engines):
            cells = [cell for cell in found if cell[0] == workload and cell[2] == engine]
            latencies = [median(s for each in found[cell] for s in each.latencies) for cell in cells]
            rates = [median(len(each.texts) / each.seconds for each in found[cell]) for cell in cells]
            panel.plot(latencies, rates, marker=_MARKERS[place % len(_MARKERS)], label=engine, color=f"C{place}")
            for (_, in_flight, _), x, y in zip(cells, latencies, rates, strict=True):
                panel.annotate(str(in_flight), (x, y), textcoords="offset points", xytext=(5, 4), fontsize=8)
        _dress(panel, workload)
    panels[0][0].set_ylabel("requests/s")
    handles = {
        label: handle for panel in panels[0] for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="upper center", ncols=len(handles), frameon=False)
    figure.text(0.5, 0.01, f"{caption}; numbers: requests in flight", ha="center", fontsize=8)
    figure.tight_layout(rect=(0, 0.04, 1, 0.93))
    figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def _dress(panel: "matplotlib.axes.Axes", workload: str) -> None:
    panel.set_title(workload)
    panel.set_xlabel("median latency, s")
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter(ScalarFormatter())
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.set_ylim(bottom=0)
    panel.grid(alpha=0.3)
