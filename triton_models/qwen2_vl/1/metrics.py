"""Metrics: the engine's counters as a server's own, for Prometheus."""

import time
from collections import defaultdict
from collections.abc import Mapping
from threading import Lock
from typing import Any

import assay

PREFIX = "assay_engine_"
DESCRIPTIONS = {
    "prefixes_found": "Answers that began with a prefix in the cache, of the same tenant.",
    "prefixes_missed": "Answers that were read from their first token on.",
    "prefixes_evicted": "Slots of the prefix cache that were evicted.",
    "prefix_tokens_found": "Tokens found in the prefix cache.",
    "prefix_bytes": "Size of the prefix cache.",
    "frame_groups_found": "Pairs of frames found in the encoder cache, of the same tenant.",
    "frame_groups_missed": "Pairs of frames that went through the vision tower.",
    "frame_groups_evicted": "Pairs of frames that were evicted from the encoder cache.",
    "frame_group_bytes": "Size of the encoder cache.",
    "running": "Generations in flight.",
    "waiting": "Generations that wait until there is room.",
    "batch": "Sequences in the last forward.",
    "queue_seconds": "Seconds that generations have waited for room.",
    "vision_seconds": "Seconds until clips were encoded.",
    "prefill_seconds": "Seconds until prompts were read.",
    "decode_seconds": "Seconds from the first logits to the end of the answer.",
    "responses": "Responses that were sent, each with the events of one forward; shows that the engine advances.",
}
"""Those that end in _bytes and those of now go up and down; the others only up, and get _total behind their names."""
_NOW = ("running", "waiting", "batch")


class Metrics:
    """Updated once an answer has ended, and each second while one is written. For any thread."""

    def __init__(self, family: Any) -> None:
        """`family` makes a family of metrics: triton_python_backend_utils.MetricFamily."""
        # A family that is garbage collected is taken off the server.
        self._families = {name: _family(family, name) for name in DESCRIPTIONS}
        self._metrics = {name: each.Metric(labels={}) for name, each in self._families.items()}
        # Every program has this one; Triton's own metrics say nothing of us.
        self._release = family(name="assay_build_info", description="1; which release this is.", kind=family.GAUGE)
        self._build = self._release.Metric(labels={"program": "triton_server", "version": assay.__version__})
        self._build.set(1)
        self._lock = Lock()
        self._sent: dict[str, float] = {}
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._responses = 0
        self._updated_at_seconds = 0.0

    def spent(self, stage: str, seconds: float) -> None:
        """A generation has been in a stage for so long."""
        with self._lock:
            self._seconds[f"{stage.removesuffix(' steps')}_seconds"] += seconds

    def responded(self, counters: Mapping[str, int], *, is_last: bool) -> None:
        """A response was sent; `is_last` of its answer."""
        with self._lock:
            self._responses += 1
            if is_last or time.monotonic() - self._updated_at_seconds > 1.0:
                self._updated_at_seconds = time.monotonic()
                self.update({**counters, **self._seconds, "responses": self._responses})

    def update(self, counters: Mapping[str, float]) -> None:
        """Only what has changed: each is a message to the server. A runner without caches has no counters."""
        for name, value in counters.items():
            if (change := value - self._sent.get(name, 0)) and _is_gauge(name):
                self._metrics[name].set(value)
            elif change:
                self._metrics[name].increment(change)
            self._sent[name] = value


def _family(family: Any, name: str) -> Any:
    kind, ending = (family.GAUGE, "") if _is_gauge(name) else (family.COUNTER, "_total")
    return family(name=f"{PREFIX}{name}{ending}", description=DESCRIPTIONS[name], kind=kind)


def _is_gauge(name: str) -> bool:
    return name.endswith("_bytes") or name in _NOW
