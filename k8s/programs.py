"""What the manifests say and the programs do not: settings, ports, addresses, names of health, graces."""

import os
from collections.abc import Iterator, Sequence
from unittest import mock

from assay.errors import SettingsError
from assay.rpc.health import LIVE
from assay.rpc.settings import leaves, load
from assay.stack.settings import MODULES, settings_class
from gateway.__main__ import SERVICES as GATEWAY_NAMES
from k8s.manifests import Doc, Finding, where
from services.attribute_extraction.service import NAME as EXTRACTION_NAME
from services.fetch.service import NAME as FETCH_NAME
from services.scoring.service import NAME as SCORING_NAME
from triton_server.server import MODEL

_HEALTH_NAMES = {
    "gateway": set(GATEWAY_NAMES),
    "attribute_extraction": {EXTRACTION_NAME},
    "scoring": {SCORING_NAME},
    "fetch": {FETCH_NAME},
    "triton_server": {MODEL},
}
_PEERS = ("ATTRIBUTE_EXTRACTION", "SCORING", "FETCH", "TRITON", "SERVER")
"""Ends of the names of settings that hold another program's address."""


def program_findings(docs: Sequence[Doc]) -> Iterator[Finding]:
    """All of it, in one set of documents."""
    for doc in docs:
        if doc["kind"] in ("Deployment", "Job"):
            for container in doc["spec"]["template"]["spec"]["containers"]:
                yield from _container_findings(doc, container, docs)


def program_of(container: Doc) -> str:
    """Its name in assay.stack.settings; empty if it is none that has settings."""
    module = container["args"][1]
    return next((name for name, each in MODULES.items() if each == module and name != "client"), "")


def _container_findings(doc: Doc, container: Doc, docs: Sequence[Doc]) -> Iterator[Finding]:
    program = program_of(container)
    if not program:
        return
    variables = variables_of(container, docs)
    prefix = str(settings_class(program).model_config.get("env_prefix"))
    yield from _setting_findings(doc, program, variables)
    own = {name.removeprefix(prefix): value for name, value in variables.items()}
    yield from _port_findings(doc, container, own)
    yield from _peer_findings(doc, prefix, own, docs)
    yield from _openness_findings(doc, prefix, own)
    yield from _grace_findings(doc, container, own)
    names = _HEALTH_NAMES.get(program, set()) | {LIVE}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container.get(probe, {}).get("grpc", {})
        if asked and asked.get("service") not in names:
            rule = f"{asked.get('service')!r} is no service of {program}; there are {', '.join(sorted(names))}"
            yield Finding(where(doc), f"{probe}.grpc.service", rule)
        if asked and str(asked["port"]) != _port(own.get("HEALTH_ADDRESS", "")):
            rule = f"port {asked['port']} is not that of {prefix}HEALTH_ADDRESS, {own.get('HEALTH_ADDRESS')}"
            yield Finding(where(doc), f"{probe}.grpc.port", rule)


def variables_of(container: Doc, docs: Sequence[Doc]) -> dict[str, str]:
    maps = {doc["metadata"]["name"]: doc.get("data", {}) for doc in docs if doc["kind"] == "ConfigMap"}
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        found |= maps.get(source.get("configMapRef", {}).get("name", ""), {})
    return found | {each["name"]: each.get("value", "") for each in container.get("env", [])}


def _setting_findings(doc: Doc, program: str, variables: dict[str, str]) -> Iterator[Finding]:
    """The program's own settings class reads them. What a `_FILE` names is in the cluster only, so its name counts."""
    prefix = settings_class(program).model_config.get("env_prefix")
    known = {f"{prefix}{name}".upper() for name in leaves(settings_class(program))}
    files = {name for name in variables if name.endswith("_FILE")} - known
    values = {name: value for name, value in variables.items() if name not in files}
    with mock.patch.dict(os.environ, values, clear=True):
        try:
            load(settings_class(program))
        except SettingsError as wrong:
            yield Finding(where(doc), f"envFrom.{wrong.field}", wrong.message)
    for name in files - {f"{each}_FILE" for each in known}:
        yield Finding(where(doc), f"envFrom.{name}", f"{name} is no setting")


def _port_findings(doc: Doc, container: Doc, own: dict[str, str]) -> Iterator[Finding]:
    settings = {
        "grpc": ("ADDRESS", "GRPC_PORT"),
        "health": ("HEALTH_ADDRESS",),
        "metrics": ("METRICS_ADDRESS", "SUPERVISOR_METRICS_ADDRESS"),
    }
    for port in container.get("ports", []):
        served = [_port(own[name]) for name in settings.get(port["name"], ()) if name in own]
        if str(port["containerPort"]) not in served:
            rule = (
                f"the program serves {port['name']} on {', '.join(served) or 'no port'}, not on {port['containerPort']}"
            )
            yield Finding(where(doc), f"ports.{port['name']}", rule)


def _peer_findings(doc: Doc, prefix: str, own: dict[str, str], docs: Sequence[Doc]) -> Iterator[Finding]:
    """Services that are not there, and those that are called with TLS and serve none, or the other way round."""
    services = {each["metadata"]["name"]: each for each in docs if each["kind"] == "Service"}
    for name in _PEERS:
        host, _, port = own.get(name, "").removeprefix("dns:///").rpartition(":")
        if not host:
            continue
        service = services.get(host.split(".")[0])
        if not service or port not in [str(each["port"]) for each in service["spec"]["ports"]]:
            yield Finding(where(doc), f"envFrom.{prefix}{name}", f"there is no Service {host} with port {port}")
            continue
        if (is_called := _speaks_tls(own, name)) != (serves := serves_tls(service, docs)):
            rule = f"{host} is called {_how(is_called)}, and serves {_how(serves)}"
            yield Finding(where(doc), f"envFrom.{prefix}{name}", rule)


def _how(has_tls: bool) -> str:
    return "over TLS" if has_tls else "in plain text"


def _speaks_tls(own: dict[str, str], peer: str) -> bool:
    """To a peer: with Triton it is a setting of its own."""
    if peer == "TRITON":
        return own.get("TRITON_TLS") == "true"
    return bool(own.get("TLS_CERTIFICATE") or own.get("TLS_CA"))


def serves_tls(service: Doc, docs: Sequence[Doc]) -> bool:
    """Whether the program behind it has a certificate."""
    for doc in docs:
        if where(doc) == f"Deployment/{service['metadata']['name']}":
            (container,) = doc["spec"]["template"]["spec"]["containers"]
            return any(name.endswith("_TLS_CERTIFICATE") for name in variables_of(container, docs))
    return False


def _openness_findings(doc: Doc, prefix: str, own: dict[str, str]) -> Iterator[Finding]:
    """What would be open to everybody does not start, unless it is said."""
    # Triton knows no list of callers: with authorities it lets in their certificates alone.
    guards = ("TLS_AUTHORITIES",) if "HOST" in own else ("TLS_CALLERS", "AUTH_KEYS", "AUTH_JWKS")
    is_guarded = own.get("TLS_CERTIFICATE") and any(own.get(each) for each in guards)
    if ("ADDRESS" in own or "HOST" in own) and own.get("INSECURE") != "true" and not is_guarded:
        rule = f"neither TLS with authentication nor {prefix}INSECURE=true: a component, insecure or mtls-cert-manager"
        yield Finding(where(doc), f"envFrom.{prefix}INSECURE", rule)


def _grace_findings(doc: Doc, container: Doc, own: dict[str, str]) -> Iterator[Finding]:
    pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    needed = pause + float(own.get("GRACE_SECONDS", 0)) + float(own.get("LAME_DUCK_SECONDS", 0))
    has = doc["spec"]["template"]["spec"].get("terminationGracePeriodSeconds", 30)
    if has <= needed:
        rule = f"{has} s is not longer than preStop, lame duck and grace together, {needed:g} s"
        yield Finding(where(doc), "terminationGracePeriodSeconds", rule)


def _port(address: str) -> str:
    return address.rpartition(":")[2]
