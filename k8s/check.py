"""python -m k8s.check: renders every overlay and combination of components, and names what would not work.

Each finding is `DIRECTORY: KIND/NAME: FIELD: RULE`. Schemas are those of two API versions; rules.rego says what a pod
has to be; the rest is compared with the code: settings, ports, names of health, graces.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import cloudcoil.models.cert_manager.v1 as cert_manager
import cloudcoil.models.keda.v1alpha1 as keda
import cloudcoil.models.prometheus_operator.v1 as monitoring
import jsonschema
import kubernetes_validate
import yaml
from pydantic import ValidationError
from regopy import Interpreter

from assay.errors import SettingsError
from assay.rpc.health import LIVE
from assay.rpc.settings import leaves, load
from assay.stack.settings import MODULES, settings_class
from gateway.__main__ import SERVICES as GATEWAY_NAMES
from services.attribute_extraction.service import NAME as EXTRACTION_NAME
from services.fetch.service import NAME as FETCH_NAME
from services.scoring.service import NAME as SCORING_NAME
from triton_server.server import MODEL

Doc = dict[str, Any]
HERE = Path(__file__).parent
API_VERSIONS = ("1.35", "1.37")
_MODELS: dict[str, Any] = {
    "ScaledObject": keda.ScaledObject,
    "Issuer": cert_manager.Issuer,
    "Certificate": cert_manager.Certificate,
    "ServiceMonitor": monitoring.ServiceMonitor,
    "PrometheusRule": monitoring.PrometheusRule,
}
_HEALTH_NAMES = {
    "gateway": set(GATEWAY_NAMES),
    "attribute_extraction": {EXTRACTION_NAME},
    "scoring": {SCORING_NAME},
    "fetch": {FETCH_NAME},
    "triton_server": {MODEL},
}
_PEERS = ("ATTRIBUTE_EXTRACTION", "SCORING", "FETCH", "TRITON", "SERVER")
"""Ends of the names of settings that hold another program's address."""


class Finding(NamedTuple):
    where: str
    field: str
    rule: str


def render(directory: Path) -> list[Doc]:
    """The documents of a directory with a kustomization. CalledProcessError with kubectl's words if there are none."""
    kubectl = Path(sys.executable).with_name("kubectl")
    built = subprocess.run([str(kubectl), "kustomize", str(directory)], check=True, capture_output=True)
    return list(yaml.load_all(built.stdout, Loader=yaml.CSafeLoader))


def findings(docs: Sequence[Doc]) -> Iterator[Finding]:
    """All that is wrong with one set of documents."""
    yield from schema_findings(docs)
    yield from rule_findings(docs)
    yield from program_findings(docs)


def _where(doc: Doc) -> str:
    return f"{doc['kind']}/{doc['metadata']['name']}"


def schema_findings(docs: Sequence[Doc]) -> Iterator[Finding]:
    """Fields that the API does not have, or that it has with another type."""
    for doc in docs:
        if doc["kind"] == "GRPCRoute":
            yield from _json_schema_findings(doc)
        elif model := _MODELS.get(doc["kind"]):
            try:
                model.model_validate(doc, extra="forbid")
            except ValidationError as wrong:
                for each in wrong.errors():
                    yield Finding(_where(doc), ".".join(map(str, each["loc"])), each["msg"])
        else:
            yield from _api_findings(doc)


def _json_schema_findings(doc: Doc) -> Iterator[Finding]:
    schema = json.loads((HERE / "schemas" / "grpcroute.json").read_text())
    for error in jsonschema.Draft7Validator(schema).iter_errors(doc):
        yield Finding(_where(doc), ".".join(map(str, error.path)), error.message)


def _api_findings(doc: Doc) -> Iterator[Finding]:
    for version in API_VERSIONS:
        try:
            kubernetes_validate.validate(doc, version, strict=True)
        except kubernetes_validate.ValidationError as wrong:
            yield Finding(_where(doc), ".".join(map(str, wrong.path)), f"{wrong.message} (API {version})")


def rule_findings(docs: Sequence[Doc]) -> Iterator[Finding]:
    """What rules.rego denies."""
    rules = Interpreter()
    rules.add_module("rules", (HERE / "rules.rego").read_text())
    rules.set_input(list(docs))
    answer = json.loads(str(rules.query("data.assay.deny")))
    for each in answer["expressions"][0]:
        yield Finding(each["where"], each["field"], each["rule"])


def program_findings(docs: Sequence[Doc]) -> Iterator[Finding]:
    """What the manifests say and the programs do not."""
    for doc in docs:
        if doc["kind"] in ("Deployment", "Job"):
            for container in doc["spec"]["template"]["spec"]["containers"]:
                yield from _container_findings(doc, container, docs)
        if doc["kind"] == "ScaledObject":
            yield from _scaling_findings(doc, docs)


def _scaling_findings(doc: Doc, docs: Sequence[Doc]) -> Iterator[Finding]:
    """A pod that refuses calls before it has as many as the threshold is never scaled."""
    target = doc["spec"]["scaleTargetRef"]["name"]
    for deployment in docs:
        if (deployment["kind"], deployment["metadata"]["name"]) != ("Deployment", target):
            continue
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        settings = settings_class(_program(container))
        prefix = settings.model_config.get("env_prefix")
        default = settings.model_fields["max_in_flight"].default
        admitted = float(_variables(container, docs).get(f"{prefix}MAX_IN_FLIGHT", default))
        for trigger in doc["spec"]["triggers"]:
            if float(trigger["metadata"]["threshold"]) > admitted:
                rule = f"{trigger['metadata']['threshold']} is more than {prefix}MAX_IN_FLIGHT, {admitted:g}"
                yield Finding(_where(doc), "triggers.threshold", rule)


def _program(container: Doc) -> str:
    """Its name in assay.stack.settings; empty if it is none that has settings."""
    module = container["args"][1]
    return next((name for name, each in MODULES.items() if each == module and name != "client"), "")


def _container_findings(doc: Doc, container: Doc, docs: Sequence[Doc]) -> Iterator[Finding]:
    program = _program(container)
    if not program:
        return
    variables = _variables(container, docs)
    prefix = str(settings_class(program).model_config.get("env_prefix"))
    yield from _setting_findings(doc, program, variables)
    own = {name.removeprefix(prefix): value for name, value in variables.items()}
    yield from _port_findings(doc, container, own)
    yield from _peer_findings(doc, own, docs)
    yield from _grace_findings(doc, container, own)
    names = _HEALTH_NAMES.get(program, set()) | {LIVE}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container.get(probe, {}).get("grpc", {})
        if asked and asked.get("service") not in names:
            rule = f"{asked.get('service')!r} is no service of {program}; there are {', '.join(sorted(names))}"
            yield Finding(_where(doc), f"{probe}.grpc.service", rule)
        if asked and str(asked["port"]) != _port(own.get("HEALTH_ADDRESS", "")):
            rule = f"port {asked['port']} is not that of {prefix}HEALTH_ADDRESS, {own.get('HEALTH_ADDRESS')}"
            yield Finding(_where(doc), f"{probe}.grpc.port", rule)


def _variables(container: Doc, docs: Sequence[Doc]) -> dict[str, str]:
    maps = {doc["metadata"]["name"]: doc.get("data", {}) for doc in docs if doc["kind"] == "ConfigMap"}
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        found |= maps.get(source.get("configMapRef", {}).get("name", ""), {})
    return found | {each["name"]: each.get("value", "") for each in container.get("env", [])}


def _setting_findings(doc: Doc, program: str, variables: dict[str, str]) -> Iterator[Finding]:
    """The program's own settings class reads them. What a `_FILE` names is in the cluster only, so its name counts."""
    files = {name for name in variables if name.endswith("_FILE")}
    values = {name: value for name, value in variables.items() if name not in files}
    prefix = settings_class(program).model_config.get("env_prefix")
    known = {f"{prefix}{name}".upper() for name in leaves(settings_class(program))}
    with mock.patch.dict(os.environ, values, clear=True):
        try:
            load(settings_class(program))
        except SettingsError as wrong:
            yield Finding(_where(doc), f"envFrom.{wrong.field}", wrong.message)
    for name in files - {f"{each}_FILE" for each in known}:
        yield Finding(_where(doc), f"envFrom.{name}", f"{name} is no setting")


def _port_findings(doc: Doc, container: Doc, own: dict[str, str]) -> Iterator[Finding]:
    settings = {
        "grpc": ("ADDRESS", "GRPC_PORT"),
        "health": ("HEALTH_ADDRESS",),
        "metrics": ("METRICS_ADDRESS", "METRICS_PORT"),
    }
    for port in container.get("ports", []):
        served = [_port(own[name]) for name in settings.get(port["name"], ()) if name in own]
        if str(port["containerPort"]) not in served:
            rule = (
                f"the program serves {port['name']} on {', '.join(served) or 'no port'}, not on {port['containerPort']}"
            )
            yield Finding(_where(doc), f"ports.{port['name']}", rule)


def _peer_findings(doc: Doc, own: dict[str, str], docs: Sequence[Doc]) -> Iterator[Finding]:
    services = {
        doc["metadata"]["name"]: [str(p["port"]) for p in doc["spec"]["ports"]]
        for doc in docs
        if doc["kind"] == "Service"
    }
    for name in _PEERS:
        host, _, port = own.get(name, "").removeprefix("dns:///").rpartition(":")
        if host and port not in services.get(host.split(".")[0], []):
            yield Finding(_where(doc), f"envFrom.{name}", f"there is no Service {host} with port {port}")


def _grace_findings(doc: Doc, container: Doc, own: dict[str, str]) -> Iterator[Finding]:
    pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    needed = pause + float(own.get("GRACE_SECONDS", 0)) + float(own.get("LAME_DUCK_SECONDS", 0))
    has = doc["spec"]["template"]["spec"].get("terminationGracePeriodSeconds", 30)
    if has <= needed:
        rule = f"{has} s is not longer than preStop, lame duck and grace together, {needed:g} s"
        yield Finding(_where(doc), "terminationGracePeriodSeconds", rule)


def _port(address: str) -> str:
    return address.rpartition(":")[2]


class _UniqueKeys(yaml.SafeLoader):
    """PyYAML takes the last of two equal keys without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := {str(key) for key in keys if keys.count(key) > 1}:
            line = node.start_mark.line + 1
            raise yaml.YAMLError(f"line {line}: {', '.join(sorted(twice))} stands twice")
        return super().construct_mapping(node, deep)


def file_findings(root: Path) -> Iterator[Finding]:
    """Keys that stand twice in one file."""
    for path in sorted(root.rglob("*.yaml")):
        try:
            list(yaml.load_all(path.read_text(), Loader=_UniqueKeys))
        except yaml.YAMLError as wrong:
            yield Finding(str(path.relative_to(root)), "keys", str(wrong))
    for path in sorted(root.rglob("*.env")):
        names = [line.partition("=")[0] for line in path.read_text().splitlines() if line and not line.startswith("#")]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield Finding(str(path.relative_to(root)), name, f"{name} stands twice")


def container_findings(directory: Path) -> Iterator[Finding]:
    """What hadolint says of the container files."""
    hadolint = Path(sys.executable).with_name("hadolint")
    files = [str(path) for path in sorted(directory.glob("*Containerfile"))]
    said = subprocess.run([str(hadolint), "-f", "json", *files], check=False, capture_output=True)
    for each in json.loads(said.stdout or "[]"):
        yield Finding(each["file"], f"line {each['line']}", f"{each['code']} {each['message']}")


def alert_findings(observability: Path) -> Iterator[Finding]:
    """What the component `monitoring` has other than `observability/`, and what promtool says where it is installed."""
    rule = yaml.safe_load((HERE / "components" / "monitoring" / "alerts.yaml").read_text())
    if rule["spec"] != yaml.safe_load((observability / "alerts.yaml").read_text()):
        yield Finding(_where(rule), "spec", "is not observability/alerts.yaml; run `python -m k8s.alerts`")
    if promtool := shutil.which("promtool"):
        tested = subprocess.run(
            [promtool, "test", "rules", str(observability / "alerts_test.yaml")],
            check=False,
            capture_output=True,
            text=True,
        )
        if tested.returncode:
            yield Finding(
                _where(rule), "spec.groups", f"promtool test rules: {(tested.stdout + tested.stderr).strip()}"
            )


def directories() -> list[Path]:
    """All that is rendered."""
    return sorted(path.parent for kind in ("overlays", "tests") for path in (HERE / kind).glob("*/kustomization.yaml"))


def main() -> int:
    """0 if nothing was found."""
    beside = HERE.parent
    alone = (
        *file_findings(HERE),
        *container_findings(beside / "containers"),
        *alert_findings(beside / "observability"),
    )
    found = [("files", each) for each in alone]
    with ThreadPoolExecutor() as pool:
        # Most documents are the same everywhere; a schema is asked once for each that is not.
        asked: set[str] = set()
        for directory, docs in zip(directories(), pool.map(render, directories()), strict=True):
            new = [doc for doc in docs if json.dumps(doc) not in asked]
            asked.update(map(json.dumps, new))
            named = (*schema_findings(new), *rule_findings(docs), *program_findings(docs))
            found += [(str(directory.relative_to(HERE.parent)), each) for each in named]
    for place, each in found:
        print(f"{place}: {each.where}: {each.field}: {each.rule}")
    print(f"{len(directories())} directories, API {' and '.join(API_VERSIONS)}: {len(found)} findings", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
