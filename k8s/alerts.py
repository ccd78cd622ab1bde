"""python -m k8s.alerts: observability/alerts.yaml -> the PrometheusRule of the component `monitoring`."""

from pathlib import Path

HERE = Path(__file__).parent
HEAD = """# Made of observability/alerts.yaml by `python -m k8s.alerts`. Do not edit.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: assay
spec:
"""


def prometheus_rule(alerts: str) -> str:
    """The groups of a rule file as the operator takes them."""
    lines = (f"  {line}".rstrip() for line in alerts.splitlines() if not line.startswith("#"))
    return HEAD + "\n".join(lines) + "\n"


def main() -> None:
    alerts = (HERE.parent / "observability" / "alerts.yaml").read_text()
    (HERE / "components" / "monitoring" / "alerts.yaml").write_text(prometheus_rule(alerts))


if __name__ == "__main__":
    main()
