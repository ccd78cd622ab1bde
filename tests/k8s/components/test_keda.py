"""The queries of k8s/components/keda, asked of Prometheus' own engine, and how many pods their thresholds want."""

import json
import math
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from k8s.manifests import HERE

OBJECTS = {
    each["metadata"]["name"]: each["spec"]["triggers"]
    for each in yaml.safe_load_all((HERE / "components" / "keda" / "scaled-objects.yaml").read_text())
}


def waits(below_seconds: str) -> dict[str, str]:
    """Ten waits a minute that are longer than 2.5 s and shorter than this."""
    name = 'assay_queue_seconds_bucket{namespace="assay",pod="gateway-a",priority_class="interactive",le="%s"}'
    return {name % "2.5": "0+0x9", name % below_seconds: "0+10x9", name % "+Inf": "0+10x9"}


def held(metric: str, *pods: str, namespace: str = "assay") -> dict[str, str]:
    """`POD COUNT` each: that many, all the time."""
    return {f'{metric}{{namespace="{namespace}",pod="{pod.split()[0]}"}}': f"{pod.split()[1]}+0x9" for pod in pods}


RUNNING, WAITING, CALLS = "assay_engine_running", "assay_engine_waiting", "assay_calls_in_flight"
# Target, trigger, series, what the query answers, pods now, pods wanted.
CASES = [
    ("triton", 0, held(RUNNING, "triton-a 8") | held(WAITING, "triton-a 0"), 8.0, 1, 1),
    ("triton", 0, held(RUNNING, "triton-a 8") | held(WAITING, "triton-a 1"), 9.0, 1, 2),
    ("triton", 0, held(RUNNING, "triton-a 8", "triton-b 1") | held(WAITING, "triton-a 12", "triton-b 0"), 21.0, 2, 3),
    (
        "triton",
        0,
        held(RUNNING, "triton-a 1") | held(WAITING, "a 0") | held(WAITING, "z 40", namespace="other"),
        1.0,
        2,
        1,
    ),
    ("gateway", 0, held(CALLS, "gateway-a 32", "scoring-a 32"), 32.0, 1, 2),
    ("scoring", 0, held(CALLS, "gateway-a 32", "scoring-a 17"), 17.0, 1, 2),
    ("attribute-extraction", 0, held(CALLS, "attribute-extraction-a 9"), 9.0, 1, 2),
    ("gateway", 1, waits("5"), 4.75, 1, 3),
    ("gateway", 1, held(CALLS, "gateway-a 1"), 0.0, 2, 0),
]


def wanted(trigger: dict, value: float, pods: int) -> int:
    """As a HorizontalPodAutoscaler reckons: a value for all, or by default an average of the pods."""
    share = value / float(trigger["metadata"]["threshold"])
    return math.ceil(pods * share if trigger.get("metricType") == "Value" else share)


@pytest.mark.parametrize(("target", "trigger", "series", "value", "pods", "more"), CASES)
def test_a_threshold_wants_as_many_pods_as_the_load_needs(target, trigger, series, value, pods, more):
    assert wanted(OBJECTS[target][trigger], value, pods) == more


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_the_queries_answer_what_their_thresholds_are_compared_with(tmp_path: Path):
    asked = [
        {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": OBJECTS[target][trigger]["metadata"]["query"],
                    "eval_time": "5m",
                    "exp_samples": [{"labels": "{}", "value": value}],
                }
            ],
        }
        for target, trigger, series, value, _, _ in CASES
    ]
    file = tmp_path / "cases.yaml"
    file.write_text(json.dumps({"rule_files": [], "tests": asked}))
    tested = subprocess.run(["promtool", "test", "rules", str(file)], check=False, capture_output=True, text=True)
    assert tested.returncode == 0, tested.stdout + tested.stderr
