"""What the engine counts is reported to the server, and no more of it than has changed."""

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from assay.engine import Engine, EngineOptions
from tests.tiny_checkpoint import write_tiny_checkpoint

# Its folder is named by a version, as Triton wants it.
_SPEC = importlib.util.spec_from_file_location(
    "metrics", Path(__file__).parents[3] / "triton_models" / "qwen2_vl" / "1" / "metrics.py"
)
assert _SPEC
assert _SPEC.loader
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)
DESCRIPTIONS, Metrics = _MODULE.DESCRIPTIONS, _MODULE.Metrics


@dataclass
class ScriptedFamily:
    """Stands in for triton_python_backend_utils.MetricFamily, which exists within Triton alone."""

    name: str
    description: str
    kind: int
    COUNTER: ClassVar[int] = 0
    GAUGE: ClassVar[int] = 1
    heard: ClassVar[list[tuple[str, str, float]]] = []
    labels: dict[str, str] = field(default_factory=dict)

    def Metric(self, labels: dict[str, str]) -> Any:  # noqa: N802 the name is Triton's
        self.labels = labels
        return self

    def increment(self, by: float) -> None:
        assert self.kind == self.COUNTER
        self.heard.append((self.name, "increment", by))

    def set(self, value: float) -> None:
        assert self.kind == self.GAUGE
        self.heard.append((self.name, "set", value))


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, float]]:
    heard: list[tuple[str, str, float]] = []
    monkeypatch.setattr(ScriptedFamily, "heard", heard)
    return heard


def of_engine(heard: list[tuple[str, str, float]]) -> list[tuple[str, str, float]]:
    """Without the first, which names the release."""
    assert heard[0] == ("assay_build_info", "set", 1)
    return heard[1:]


def test_what_goes_up_is_added_and_what_is_held_is_set(heard: list[tuple[str, str, float]]) -> None:
    metrics = Metrics(ScriptedFamily)
    metrics.update({"prefixes_found": 2, "prefix_bytes": 100})
    metrics.update({"prefixes_found": 5, "prefix_bytes": 40})
    assert of_engine(heard) == [
        ("assay_engine_prefixes_found_total", "increment", 2),
        ("assay_engine_prefix_bytes", "set", 100),
        ("assay_engine_prefixes_found_total", "increment", 3),
        ("assay_engine_prefix_bytes", "set", 40),
    ]


def test_what_has_not_changed_is_not_reported_again(heard: list[tuple[str, str, float]]) -> None:
    metrics = Metrics(ScriptedFamily)
    for _ in range(3):
        metrics.update({"frame_groups_missed": 1, "frame_group_bytes": 7, "prefixes_found": 0})
    assert len(of_engine(heard)) == 2


def test_everything_that_the_engine_counts_has_a_description(tmp_path: Path) -> None:
    engine = Engine.load(write_tiny_checkpoint(tmp_path), EngineOptions(threads=1))
    counters = set(engine.counters)
    engine.close()
    seconds = {f"{stage}_seconds" for stage in ("queue", "vision", "prefill", "decode")}
    assert counters | seconds | {"responses"} == set(DESCRIPTIONS)


def test_seconds_are_added_up_by_stage(heard: list[tuple[str, str, float]]) -> None:
    metrics = Metrics(ScriptedFamily)
    for stage, seconds in (("vision", 0.5), ("decode steps", 2.0), ("decode steps", 1.0)):
        metrics.spent(stage, seconds)
    metrics.responded({}, is_last=True)
    assert ("assay_engine_vision_seconds_total", "increment", 0.5) in heard
    assert ("assay_engine_decode_seconds_total", "increment", 3.0) in heard


def test_responses_are_counted_at_the_end_of_an_answer_and_at_most_once_a_second(
    heard: list[tuple[str, str, float]],
) -> None:
    metrics = Metrics(ScriptedFamily)
    for is_last in (False, False, False, True):
        metrics.responded({}, is_last=is_last)
    assert [value for *_, value in of_engine(heard)] == [1, 3]
