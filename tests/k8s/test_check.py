"""k8s/check.py and programs.py: one planted mistake per rule, each named with its place; nothing is named elsewhere."""

import copy
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from k8s.check import container_findings, findings, rule_findings, schema_findings
from k8s.manifests import HERE, Doc, Finding, directories, file_findings, files_of, render
from k8s.metrics import metric_findings
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


AUTOSCALER = "horizontalPodAutoscalerConfig"


def trigger(docs: list[Doc], name: str = "scoring", index: int = 0) -> dict[str, Any]:
    return spec(docs, f"ScaledObject/{name}")["triggers"][index]["metadata"]


def endpoint(docs: list[Doc]) -> dict[str, Any]:
    return spec(docs, "ServiceMonitor/assay")["endpoints"][0]


def excepted(docs: list[Doc]) -> list[str]:
    return block(docs, "ingest")["except"]


def without(mapping: dict[str, Any], key: str) -> None:
    del mapping[key]


def dropped(docs: list[Doc], where: str) -> None:
    docs.remove(pick(docs, where))


def egress(docs: list[Doc], name: str) -> list[Any]:
    return pick(docs, f"NetworkPolicy/{name}")["spec"]["egress"]


def ingress(docs: list[Doc], name: str) -> list[Any]:
    return pick(docs, f"NetworkPolicy/{name}")["spec"]["ingress"]


def block(docs: list[Doc], name: str) -> dict[str, Any]:
    return egress(docs, name)[-1]["to"][0]["ipBlock"]


def selector(docs: list[Doc], where: str) -> dict[str, Any]:
    return spec(docs, where)["podSelector"]


def backend(docs: list[Doc]) -> dict[str, Any]:
    return spec(docs, "GRPCRoute/gateway")["rules"][0]["backendRefs"][0]


Mistake = tuple[Callable[[list[Doc]], Any], str, str]

# Each is planted alone, because a program names the first setting that it refuses.
OF_SETTINGS: list[Mistake] = [
    (lambda d: values(d).update(SCORING_PROT="50053"), "SCORING_PROT", "SCORING_PROT is no setting"),
    (lambda d: values(d).update(SCORING_PROT_FILE="/x"), "SCORING_PROT_FILE", "is no setting"),
    (lambda d: values(d).update(SCORING_MAX_IN_FLIGHT="0"), "SCORING_MAX_IN_FLIGHT", "allowed is a whole number"),
    (
        lambda d: values(d).update(SCORING_TRITON="dns:///tritno:8001"),
        "SCORING_TRITON",
        "no Service tritno with port 8001",
    ),
    (lambda d: without(values(d, "ingest"), "INGEST_TLS_CA"), "INGEST_SERVER", "plain text, and serves over TLS"),
    (lambda d: without(values(d, "triton"), "TRITON_SERVER_TLS_AUTHORITIES"), "TRITON_SERVER_INSECURE", "neither TLS"),
    (lambda d: without(values(d), "SCORING_TRITON_TLS"), "SCORING_TRITON", "plain text, and serves over TLS"),
    (lambda d: values(d).update(SCORING_GRACE_SECONDS="600"), "terminationGracePeriodSeconds", "not longer than"),
    (lambda d: container(d)["ports"][0].update(containerPort=50054), "ports.grpc", "on 50053, not on 50054"),
    (lambda d: container(d)["readinessProbe"]["grpc"].update(service="Scoring"), "readinessProbe", "is no service of"),
    (lambda d: container(d)["livenessProbe"]["grpc"].update(port=50053), "livenessProbe", "SCORING_HEALTH_ADDRESS"),
    (lambda d: trigger(d).update(threshold="64"), "triggers.threshold", "more than SCORING_MAX_IN_FLIGHT, 32"),
    (lambda d: trigger(d, "gateway", 1).update(threshold="31"), "threshold", "more than GATEWAY_QUEUE_SECONDS, 30"),
    (lambda d: trigger(d).update(query="sum(assay_queue_secs{})"), "triggers.query", "assay_queue_secs is no metric"),
    (lambda d: without(endpoint(d), "scheme"), "endpoints.scheme", "scoring serves its metrics over TLS"),
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
    (lambda d: pod(d, "triton")["volumes"][-2]["image"].update(reference="a/7b:1"), "volumes[weights]", "its digest"),
    (lambda d: without(pick(d, "Certificate/fetch")["metadata"], "namespace"), "metadata.namespace", "namespace assay"),
    (lambda d: d.append({"kind": "CronJob", "metadata": {"name": "x"}, "spec": {}}), "kind", "Deployments and Jobs"),
    (lambda d: container(d, "triton")["volumeMounts"].pop(1), "volumes", "sized /dev/shm"),
    (lambda d: pod(d).update(initContainers=[{"name": "init", "image": "busybox"}]), "containers[init]", "limits"),
    (lambda d: selector(d, "NetworkPolicy/metrics")["matchLabels"].update(a="b"), "podSelector", "selects a pod"),
    (lambda d: spec(d, "Service/scoring")["ports"][1].update(targetPort="http"), "ports[metrics]", "one of its pods'"),
    (lambda d: spec(d, "ServiceMonitor/assay")["endpoints"][0].update(port="http"), "selector", "with its port"),
    (lambda d: spec(d, "ScaledObject/gateway")["scaleTargetRef"].update(name="fetsch"), "scaleTargetRef", "exists"),
    (lambda d: without(spec(d, "ScaledObject/scoring")["advanced"], AUTOSCALER), "scaleDown", "taken away slowly"),
    (lambda d: backend(d).update(port=50052), "backendRefs", "leads to a Service's port"),
    (lambda d: egress(d, "gateway").pop(2), "egress", "goes from gateway to fetch, on the port"),
    (
        lambda d: ingress(d, "scoring")[0]["ports"][0].update(port=50054),
        "ingress",
        "from gateway to scoring, on the port",
    ),
    (lambda d: egress(d, "attribute-extraction").append({}), "egress", "says where to, and on which port"),
    (lambda d: without(ingress(d, "fetch")[0], "from"), "ingress", "only the gateway is called by anybody"),
    (lambda d: block(d, "fetch").update(cidr="169.254.169.254/32"), "ipBlock.cidr", "metadata addresses"),
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
    found = [*program_findings(docs), *metric_findings(docs)]
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


COMPONENTS = sorted(path.parent for path in (HERE / "components").glob("*/kustomization.yaml"))


@pytest.mark.parametrize("component", COMPONENTS, ids=[each.name for each in COMPONENTS])
def test_every_component_is_described_and_stands_in_a_combination(component: Path):
    used = "".join((each / "kustomization.yaml").read_text() for each in directories())
    assert f"components/{component.name}" in used
    assert (component / "README.md").read_text().startswith(f"# {component.name}\n")


def test_a_finding_names_the_file_that_has_the_object_or_the_setting():
    limits = Finding("Deployment/scoring", "containers[scoring].resources.limits.memory", "")
    assert files_of(limits) == ["k8s/base/scoring/deployment.yaml"]
    setting = Finding("Deployment/scoring", "envFrom.SCORING_GRACE_SECONDS", "")
    assert files_of(setting) == ["k8s/base/scoring/scoring.env"]


def test_a_container_file_by_tag_latest_is_named(tmp_path: Path):
    (tmp_path / "Containerfile").write_text("FROM debian:latest\nRUN cd /tmp\n")
    assert {each.rule.split()[0] for each in container_findings(tmp_path)} >= {"DL3007", "DL3003"}
