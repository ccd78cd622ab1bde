"""python -m k8s.check: renders every overlay and combination of components, and names what would not work.

Each finding is `DIRECTORY: FILES: KIND/NAME: FIELD: RULE`. Schemas are those of two API versions; rules.rego says what
a pod has to be; the rest is compared with the code: settings, ports, names of health, graces.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cloudcoil.models.cert_manager.v1 as cert_manager
import cloudcoil.models.keda.v1alpha1 as keda
import cloudcoil.models.prometheus_operator.v1 as monitoring
import jsonschema
import kubernetes_validate
import yaml
from pydantic import ValidationError
from regopy import Interpreter

from k8s.manifests import HERE, Doc, Finding, directories, file_findings, files_of, render, where
from k8s.metrics import metric_findings
from k8s.programs import program_findings

API_VERSIONS = ("1.35", "1.37")
_MODELS: dict[str, Any] = {
    "ScaledObject": keda.ScaledObject,
    "Issuer": cert_manager.Issuer,
    "Certificate": cert_manager.Certificate,
    "ServiceMonitor": monitoring.ServiceMonitor,
    "PrometheusRule": monitoring.PrometheusRule,
}


def findings(docs: Sequence[Doc]) -> Iterator[Finding]:
    """All that is wrong with one set of documents."""
    yield from schema_findings(docs)
    yield from rule_findings(docs)
    yield from program_findings(docs)
    yield from metric_findings(docs)


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
                    yield Finding(where(doc), ".".join(map(str, each["loc"])), each["msg"])
        else:
            yield from _api_findings(doc)


def _json_schema_findings(doc: Doc) -> Iterator[Finding]:
    schema = json.loads((HERE / "schemas" / "grpcroute.json").read_text())
    for error in jsonschema.Draft7Validator(schema).iter_errors(doc):
        yield Finding(where(doc), ".".join(map(str, error.path)), error.message)


def _api_findings(doc: Doc) -> Iterator[Finding]:
    for version in API_VERSIONS:
        try:
            kubernetes_validate.validate(doc, version, strict=True)
        except kubernetes_validate.ValidationError as wrong:
            yield Finding(where(doc), ".".join(map(str, wrong.path)), f"{wrong.message} (API {version})")


def rule_findings(docs: Sequence[Doc]) -> Iterator[Finding]:
    """What rules.rego denies."""
    rules = Interpreter()
    rules.add_module("rules", (HERE / "rules.rego").read_text())
    rules.set_input(list(docs))
    answer = json.loads(str(rules.query("data.assay.deny")))
    for each in answer["expressions"][0]:
        yield Finding(each["where"], each["field"], each["rule"])


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
        yield Finding(where(rule), "spec", "is not observability/alerts.yaml; run `python -m k8s.alerts`")
    if promtool := shutil.which("promtool"):
        tested = subprocess.run(
            [promtool, "test", "rules", str(observability / "alerts_test.yaml")],
            check=False,
            capture_output=True,
            text=True,
        )
        if tested.returncode:
            yield Finding(where(rule), "spec.groups", f"promtool test rules: {(tested.stdout + tested.stderr).strip()}")


def _rendered(directory: Path) -> list[Doc] | Finding:
    try:
        return render(directory)
    except subprocess.CalledProcessError as failed:
        return Finding("kustomization.yaml", "build", failed.stderr.decode().strip())


def main() -> int:
    """0 if nothing was found."""
    checkout = HERE.parent
    alone = (
        *file_findings(HERE),
        *container_findings(checkout / "containers"),
        *alert_findings(checkout / "observability"),
    )
    found = [("files", each) for each in alone]
    with ThreadPoolExecutor() as pool:
        # Most documents are the same everywhere; a schema is asked once for each that is not.
        asked: set[str] = set()
        for directory, built in zip(directories(), pool.map(_rendered, directories()), strict=True):
            place = str(directory.relative_to(HERE.parent))
            if isinstance(built, Finding):
                found.append((place, built))
                continue
            docs = built
            new = [doc for doc in docs if json.dumps(doc) not in asked]
            asked.update(map(json.dumps, new))
            named = (*schema_findings(new), *rule_findings(docs), *program_findings(docs), *metric_findings(docs))
            found += [(place, each) for each in named]
    for place, each in found:
        files = f"{', '.join(files_of(each))}: " if place != "files" else ""
        print(f"{place}: {files}{each.where}: {each.field}: {each.rule}")
    print(f"{len(directories())} directories, API {' and '.join(API_VERSIONS)}: {len(found)} findings", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
