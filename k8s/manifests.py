"""The manifests as files and as documents, and what is found wrong with them."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

Doc = dict[str, Any]
HERE = Path(__file__).parent


class Finding(NamedTuple):
    where: str
    field: str
    rule: str


def where(doc: Doc) -> str:
    return f"{doc['kind']}/{doc['metadata']['name']}"


def directories() -> list[Path]:
    """All that is rendered."""
    return sorted(path.parent for kind in ("overlays", "tests") for path in (HERE / kind).glob("*/kustomization.yaml"))


def render(directory: Path) -> list[Doc]:
    """The documents of a directory with a kustomization. CalledProcessError with kubectl's words if there are none."""
    kubectl = Path(sys.executable).with_name("kubectl")
    built = subprocess.run([str(kubectl), "kustomize", str(directory)], check=True, capture_output=True)
    return list(yaml.load_all(built.stdout, Loader=yaml.CSafeLoader))


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


def files_of(finding: Finding) -> list[str]:
    """The files that name its setting, or that describe its object; empty if none does."""
    setting = finding.field.removeprefix("envFrom.")
    if setting != finding.field:
        named = [path for path in _files("*") if re.search(rf"\b{re.escape(setting)}=", path.read_text())]
    else:
        named = [path for path in _files("*.yaml") if finding.where in map(_place, _documents(path))]
    return [str(path.relative_to(HERE.parent)) for path in named]


def _files(pattern: str) -> list[Path]:
    return [path for path in sorted(HERE.rglob(pattern)) if path.suffix in (".yaml", ".env")]


def _documents(path: Path) -> list[Doc]:
    return [doc for doc in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader) if isinstance(doc, dict)]


def _place(doc: Doc) -> str:
    return f"{doc.get('kind')}/{doc.get('metadata', {}).get('name')}"
