"""Metrics: the engine's counters as a server's own, for whoever scrapes it."""

from collections.abc import Mapping
from typing import Any

PREFIX = "assay_engine_"
DESCRIPTIONS = {
    "prefixes_found": "Answers whose beginning had been read before, for the same tenant.",
    "prefixes_missed": "Answers that were read from their first token on.",
    "prefixes_evicted": "Memories of answers that made room for others.",
    "prefix_tokens_found": "Tokens that had been read before.",
    "prefix_bytes": "Keys and values held for later answers.",
    "frame_groups_found": "Pairs of frames that had been seen before, by the same tenant.",
    "frame_groups_missed": "Pairs of frames that went through the vision tower.",
    "frame_groups_evicted": "Embeddings of pairs of frames that made room for others.",
    "frame_group_bytes": "Embeddings of frames held for later answers.",
}
"""Those that end in _bytes go up and down; the others only up, and get _total behind their names."""


class Metrics:
    """Told once an answer has ended. For one thread."""

    def __init__(self, family: Any) -> None:
        """`family` makes a family of metrics: triton_python_backend_utils.MetricFamily."""
        # A family that nobody holds any more is taken off the server.
        self._families = {name: _family(family, name) for name in DESCRIPTIONS}
        self._metrics = {name: each.Metric(labels={}) for name, each in self._families.items()}
        self._told: dict[str, int] = {}

    def tell(self, counters: Mapping[str, int]) -> None:
        """Only what has changed: each is a message to the server. A runner that keeps nothing has no counters."""
        for name, value in counters.items():
            if (change := value - self._told.get(name, 0)) and _is_gauge(name):
                self._metrics[name].set(value)
            elif change:
                self._metrics[name].increment(change)
            self._told[name] = value


def _family(family: Any, name: str) -> Any:
    kind, ending = (family.GAUGE, "") if _is_gauge(name) else (family.COUNTER, "_total")
    return family(name=f"{PREFIX}{name}{ending}", description=DESCRIPTIONS[name], kind=kind)


def _is_gauge(name: str) -> bool:
    return name.endswith("_bytes")
