"""observability/: the rules do as their tests say, and speak of metrics and pages that there are."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from runpy import run_path

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from assay.rpc import metrics

ROOT = Path(__file__).parents[2]
RULES, DASHBOARD = ROOT / "observability" / "alerts.yaml", ROOT / "observability" / "dashboard.json"
_METRIC = re.compile(r"\bassay_[a-z_]+")
_SUFFIX = re.compile(r"_(bucket|sum|count|total)$")


def names_there_are():
    made = [each for each in vars(metrics).values() if isinstance(each, MetricWrapperBase)]
    engine = run_path(str(ROOT / "triton_models" / "qwen2_vl" / "1" / "metrics.py"))
    names = {f"{engine['PREFIX']}{name}" for name in engine["DESCRIPTIONS"]}
    return names | {family.name for each in made for family in each.describe()}


def test_the_rules_do_as_their_tests_say():
    if not (promtool := shutil.which("promtool")):
        pytest.skip("promtool (Debian's prometheus) is not installed")
    done = subprocess.run([promtool, "test", "rules", "observability/alerts_test.yaml"], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


@pytest.mark.parametrize("file", [RULES, DASHBOARD], ids=lambda file: file.name)
def test_every_metric_that_is_named_is_served(file):
    named = {_SUFFIX.sub("", name) for name in _METRIC.findall(file.read_text())}
    assert named - {_SUFFIX.sub("", name) for name in names_there_are()} == set()


def test_every_alert_is_explained():
    rules = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    page = (ROOT / "docs" / "operate.md").read_text()
    assert [rule["alert"] for rule in rules if f"| {rule['alert']} |" not in page] == []


def test_the_dashboard_has_a_question_in_every_panel():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert panels
    assert [panel["title"] for panel in panels if not panel["targets"]] == []
