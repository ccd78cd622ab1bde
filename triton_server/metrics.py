"""Metrics of Triton and the engine next to the supervisor's own: one place for a scraper, over TLS if there is TLS."""

import re
import urllib.request
from collections.abc import Iterable

from prometheus_client import REGISTRY, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

_SECONDS = 5
_COUNTER = re.compile(r"^(# TYPE \S+(?<!_total)) counter$", re.MULTILINE)
"""By NVIDIA's names, to which the parser would add "_total"."""


class TritonMetrics(Collector):
    """What Triton says at that URL when it is asked; nothing while it is away."""

    def __init__(self, url: str) -> None:
        self._url = url

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        try:
            with urllib.request.urlopen(self._url, timeout=_SECONDS) as answer:
                text = answer.read().decode()
        except OSError:
            return
        yield from text_string_to_metric_families(_COUNTER.sub(r"\1 untyped", text))


def add_triton(url: str) -> None:
    """Puts Triton's metrics among those that this process serves."""
    REGISTRY.register(TritonMetrics(url))
