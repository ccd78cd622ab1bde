"""k8s/check.py and programs.py: one planted mistake per rule, each named with its place; nothing is named elsewhere."""

import copy
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from k8s.check import container_findings, findings, rule_findings, schema_findings
from k8s.manifests import HERE, Doc, Finding, file_findings, render
from k8s.programs import program_findings


@pytest.fixture(scope="module")
def rendered() -> list[Doc]:
    """The combination with every component that goes with the others."""
    return render(HERE / "tests" / "everything")


def pick(docs: list[Doc], where: str) -> Doc:
    kind, name = where.split("/")
    return next(doc for doc in docs if doc["kind"] == kind and doc["metadata"]["name"].startswith(name))


def pod(docs: list[Doc], name: str = "scoring") -> Doc:
    return pick(docs, f"Deployment/{name}")["spec"]["template"]["spec"]


def container(docs: list[Doc], name: str = "scoring") -> Doc:
    return pod(docs, name)["containers"][0]


def values(docs: list[Doc], name: str = "scoring") -> dict[str, str]:
    return pick(docs, f"ConfigMap/{name}")["data"]


def spec(docs: list[Doc], where: str) -> dict[str, Any]:
    return pick(docs, where)["spec"]


def security(docs: list[Doc]) -> dict[str, Any]:
    return container(docs)["securityContext"]


def trigger(docs: list[Doc]) -> dict[str, Any]:
    return spec(docs, "ScaledObject/scoring")["triggers"][0]["metadata"]


def excepted(docs: list[Doc]) -> list[str]:
    return egress(docs, "ingest")[-1]["to"][0]["ipBlock"]["except"]


def without(mapping: dict[str, Any], key: str) -> None:
    del mapping[key]


def dropped(docs: list[Doc], where: str) -> None:
    docs.remove(pick(docs, where))


def egress(docs: list[Doc], name: str) -> list[Any]:
    return pick(docs, f"NetworkPolicy/{name}")["spec"]["egress"]


Mistake = tuple[Callable[[list[Doc]], Any], str, str]

# Each is planted alone, because a program names the first setting that it refuses.
OF_SETTINGS: list[Mistake] = [
    (lambda d: values(d).update(SCORING_PROT="50053"), "SCORING_PROT", "SCORING_PROT is no setting"),
    (lambda d: values(d).update(SCORING_PROT_FILE="/x"), "SCORING_PROT_FILE", "is no setting"),
    (lambda d: values(d).update(SCORING_MAX_IN_FLIGHT="0"), "SCORING_MAX_IN_FLIGHT", "allowed is a whole number"),
    (lambda d: values(d).update(SCORING_TRITON="dns:///tritno:8001"), "TRITON", "no Service tritno with port 8001"),
    (lambda d: values(d).update(SCORING_GRACE_SECONDS="600"), "terminationGracePeriodSeconds", "not longer than"),
    (lambda d: container(d)["ports"][0].update(containerPort=50054), "ports.grpc", "on 50053, not on 50054"),
    (lambda d: container(d)["readinessProbe"]["grpc"].update(service="Scoring"), "readinessProbe", "is no service of"),
    (lambda d: container(d)["livenessProbe"]["grpc"].update(port=50053), "livenessProbe", "SCORING_HEALTH_ADDRESS"),
    (lambda d: trigger(d).update(threshold="64"), "triggers.threshold", "more than SCORING_MAX_IN_FLIGHT, 32"),
]
OF_SCHEMAS: list[Mistake] = [
    (lambda d: container(d).update(imagePullPolice="Always"), "containers", "imagePullPolice"),
    (lambda d: spec(d, "ScaledObject/triton").update(maxReplicas=4), "maxReplicas", "not permitted"),
    (lambda d: spec(d, "GRPCRoute/gateway").update(timeout="1s"), "spec", "timeout"),
    (lambda d: spec(d, "Certificate/scoring").update(issuer="x"), "issuer", "not permitted"),
    (lambda d: spec(d, "ServiceMonitor/assay").update(endpoint=[]), "endpoint", "not permitted"),
]
# All planted together, because the rules are asked in one go.
OF_RULES: list[Mistake] = [
    (lambda d: container(d)["livenessProbe"]["grpc"].update(service="x"), "livenessProbe.grpc", "asks for live"),
    (lambda d: without(container(d), "startupProbe"), "startupProbe", "has gRPC probes"),
    (lambda d: container(d).update(image="assay-services:0.1.0"), "containers[scoring].image", "by its digest"),
    (lambda d: without(container(d)["resources"], "limits"), "resources.limits.memory", "requests and limits"),
    (lambda d: without(container(d)["lifecycle"], "preStop"), "lifecycle.preStop", "leaves the endpoints"),
    (lambda d: security(d).update(readOnlyRootFilesystem=False), "readOnlyRootFilesystem", "read-only root"),
    (lambda d: security(d)["capabilities"].update(add=["SYS_ADMIN"]), "capabilities", "no capabilities"),
    (lambda d: container(d)["volumeMounts"].pop(0), "volumes", "/tmp is a volume"),
    (lambda d: pod(d).update(enableServiceLinks=True), "enableServiceLinks", "no variables of Services"),
    (lambda d: pod(d).update(automountServiceAccountToken=True), "automountServiceAccountToken", "no token"),
    (lambda d: pod(d).update(serviceAccountName="default"), "serviceAccountName", "of its own"),
    (lambda d: dropped(d, "ServiceAccount/fetch"), "serviceAccountName", "the service account exists"),
    (lambda d: pod(d)["securityContext"].update(runAsUser=0), "securityContext.runAsUser", "uid 10001"),
    (lambda d: without(pod(d)["securityContext"], "seccompProfile"), "seccompProfile", "RuntimeDefault"),
    (lambda d: without(pod(d)["volumes"][0]["emptyDir"], "sizeLimit"), "emptyDir.sizeLimit", "has a size"),
    (lambda d: pod(d)["volumes"].append({"name": "node", "hostPath": {}}), "volumes[node]", "nothing of the node"),
    (lambda d: pod(d).update(hostNetwork=True), "hostNetwork", "nothing of the node is shared"),
    (lambda d: without(pod(d), "topologySpreadConstraints"), "topologySpreadConstraints", "spread over nodes"),
    (lambda d: dropped(d, "PodDisruptionBudget/scoring"), "PodDisruptionBudget", "disruption budget"),
    (lambda d: dropped(d, "NetworkPolicy/triton"), "NetworkPolicy", "network policy of its own"),
    (lambda d: dropped(d, "NetworkPolicy/deny-all"), "podSelector", "not allowed is denied"),
    (lambda d: egress(d, "gateway").append(egress(d, "scoring")[0]), "egress", "from gateway to triton"),
    (lambda d: egress(d, "scoring").append(egress(d, "fetch")[-1]), "egress.ipBlock", "reach out"),
    (lambda d: excepted(d).remove("169.254.0.0/16"), "egress.ipBlock.except", "metadata addresses"),
    (lambda d: without(spec(d, "Service/scoring"), "clusterIP"), "clusterIP", "are headless"),
    (lambda d: without(spec(d, "Service/fetch")["ports"][0], "appProtocol"), "ports[grpc]", "HTTP/2"),
    (lambda d: without(pick(d, "Namespace/assay")["metadata"], "labels"), "labels", "enforces restricted"),
]


@pytest.fixture(scope="module")
def found_by_rules(rendered) -> list[Finding]:
    docs = copy.deepcopy(rendered)
    for plant, _, _ in OF_RULES:
        plant(docs)
    return list(rule_findings(docs))


def is_named(found: Iterable[Finding], field: str, rule: str) -> bool:
    return any(field in each.field and rule in each.rule for each in found)


def test_without_a_mistake_nothing_is_found(rendered):
    assert list(findings(rendered)) == []


@pytest.mark.parametrize(("plant", "field", "rule"), OF_SETTINGS, ids=[rule for _, _, rule in OF_SETTINGS])
def test_a_manifest_that_does_not_fit_its_program_is_named(rendered, plant, field, rule):
    docs = copy.deepcopy(rendered)
    plant(docs)
    found = list(program_findings(docs))
    assert is_named(found, field, rule), found


@pytest.mark.parametrize(("plant", "field", "rule"), OF_SCHEMAS, ids=[rule for _, _, rule in OF_SCHEMAS])
def test_what_no_schema_has_is_named(rendered, plant, field, rule):
    docs = copy.deepcopy(rendered)
    plant(docs)
    found = list(schema_findings([changed for changed, was in zip(docs, rendered, strict=True) if changed != was]))
    assert is_named(found, field, rule), found


@pytest.mark.parametrize(("field", "rule"), [each[1:] for each in OF_RULES], ids=[rule for _, _, rule in OF_RULES])
def test_a_broken_rule_is_named(found_by_rules, field, rule):
    assert is_named(found_by_rules, field, rule), found_by_rules


def test_a_key_that_stands_twice_is_named(tmp_path: Path):
    (tmp_path / "pod.yaml").write_text("spec:\n  a: 1\n  b: 2\n  a: 3\n")
    (tmp_path / "some.env").write_text("A=1\nA=2\n")
    assert [(each.where, each.rule) for each in file_findings(tmp_path)] == [
        ("pod.yaml", "line 2: a stands twice"),
        ("some.env", "A stands twice"),
    ]


def test_a_container_file_by_tag_latest_is_named(tmp_path: Path):
    (tmp_path / "Containerfile").write_text("FROM debian:latest\nRUN cd /tmp\n")
    assert {each.rule.split()[0] for each in container_findings(tmp_path)} >= {"DL3007", "DL3003"}
