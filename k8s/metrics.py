"""Which metrics scale a program, and how they are scraped: what the manifests say of it and the programs do not."""

import re
from collections.abc import Iterator, Sequence

from assay.stack.settings import settings_class
from k8s.manifests import Doc, Finding, where
from k8s.programs import program_of, serves_tls, variables_of

_LIMITS = {
    "assay_calls_in_flight": "max_in_flight",
    "assay_engine_running": "max_in_flight",
    "assay_engine_waiting": "max_waiting",
    "assay_queue_seconds": "queue_seconds",
}
"""Metric that pods are scaled by, to the setting that it never exceeds."""
_METRIC = re.compile(r"\b([a-z]+_[a-z_]+?)(?:_bucket)?\{")


def metric_findings(docs: Sequence[Doc]) -> Iterator[Finding]:
    """All of it, in one set of documents."""
    for doc in docs:
        if doc["kind"] == "ScaledObject":
            yield from _scaling_findings(doc, docs)
        if doc["kind"] == "ServiceMonitor":
            yield from _monitor_findings(doc, docs)


def _scaling_findings(doc: Doc, docs: Sequence[Doc]) -> Iterator[Finding]:
    """A pod that refuses calls before it reaches the threshold is never scaled."""
    target = doc["spec"]["scaleTargetRef"]["name"]
    for deployment in docs:
        if (deployment["kind"], deployment["metadata"]["name"]) != ("Deployment", target):
            continue
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        program, variables = program_of(container), variables_of(container, docs)
        for trigger in doc["spec"]["triggers"]:
            metrics = sorted(set(_METRIC.findall(trigger["metadata"]["query"])))
            for metric in (each for each in metrics if each not in _LIMITS):
                yield Finding(where(doc), "triggers.query", f"{metric} is no metric that a threshold is known for")
            limits = dict(_value(program, _LIMITS[each], variables) for each in metrics if each in _LIMITS)
            if limits and float(trigger["metadata"]["threshold"]) > sum(limits.values()):
                rule = f"{trigger['metadata']['threshold']} is more than {' + '.join(limits)}, {sum(limits.values()):g}"
                yield Finding(where(doc), "triggers.threshold", rule)


def _value(program: str, field: str, variables: dict[str, str]) -> tuple[str, float]:
    """A setting's name, and what it is in a pod with these variables."""
    settings = settings_class(program)
    name = f"{settings.model_config.get('env_prefix')}{field.upper()}"
    return name, float(variables.get(name, settings.model_fields[field].default))


def _monitor_findings(doc: Doc, docs: Sequence[Doc]) -> Iterator[Finding]:
    """A scraper that speaks otherwise than a program finds it down."""
    for service in (each for each in docs if each["kind"] == "Service"):
        if not _selects(doc["spec"]["selector"], service["metadata"].get("labels", {})):
            continue
        has_tls = serves_tls(service, docs)
        for endpoint in doc["spec"]["endpoints"]:
            if (endpoint.get("scheme") == "https") != has_tls:
                rule = f"{service['metadata']['name']} serves its metrics {'over TLS' if has_tls else 'in plain text'}"
                yield Finding(where(doc), "endpoints.scheme", rule)


def _selects(selector: Doc, labels: dict[str, str]) -> bool:
    """For labels, and for expressions with NotIn."""
    return selector.get("matchLabels", {}).items() <= labels.items() and not any(
        labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", [])
    )
