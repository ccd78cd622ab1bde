"""python -m containers.images [NAME …]: builds the images, lists what is in each, measures them, writes their digests
into the overlays.

BUILD_BASE and BASE are references of images with Python 3.11, with venv and without; containers/base.sh makes both
where they are not set. Wheels come from pip's own configuration, by hash, into WHEELS; a build asks no network. With
REGISTRY set, images are pushed there, and every overlay names them as the registry does.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

import assay
from containers import contents
from containers.lock import python_options

HERE = Path(__file__).parent
ROOT = HERE.parent
OVERLAYS = ROOT / "k8s" / "overlays"
TRITON = ROOT / "triton_server" / "requirements.txt"
RESULTS = ROOT / "runs" / "images"


class Image(NamedTuple):
    containerfile: str
    max_bytes: int | None
    """Above its base; None: as much as it takes."""
    modules: tuple[str, ...]
    """What its programs are started by, and what else they must be able to import."""
    has_torch: bool = False


IMAGES = {
    "gateway": Image("program", 400_000_000, ("gateway.__main__", "scenedetect.detectors")),
    "services": Image(
        "program",
        200_000_000,
        tuple(f"services.{name}.__main__" for name in ("attribute_extraction", "scoring", "fetch")),
    ),
    "ingest": Image("program", 300_000_000, ("ingest.__main__",)),
    "triton-cpu": Image("triton-cpu", None, ("triton_server.__main__", "assay.engine", "assay.cli"), has_torch=True),
    "triton-gpu": Image("triton-gpu", None, ("triton_server.__main__", "assay.cli", "vllm"), has_torch=True),
}
BUILT_HERE = [name for name in IMAGES if name != "triton-gpu"]
"""NVIDIA's image is 20 GB and needs TRITON_BASE, so it is built only when it is named."""


class Bases(NamedTuple):
    build: str
    result: str


def bases(name: str) -> Bases:
    """References of the images below one. CalledProcessError if they cannot be made here."""
    if name == "triton-gpu":
        triton = os.environ.get("TRITON_BASE", "")
        if "@sha256:" not in triton:
            sys.exit("triton-gpu wants TRITON_BASE, NVIDIA's image of containers/triton-gpu.Containerfile by digest")
        return Bases(triton, triton)
    if "BASE" not in os.environ:
        subprocess.run([HERE / "base.sh"], check=True)
    build, result = (os.environ.get(name) or _local_base(name) for name in ("BUILD_BASE", "BASE"))
    if not all("@sha256:" in each for each in (build, result)):
        sys.exit(f"BUILD_BASE and BASE are references by digest (NAME@sha256:…), not {build} and {result}")
    return Bases(build, result)


def _local_base(name: str) -> str:
    """What containers/base.sh has made, by its digest."""
    repository = f"localhost/assay-{name.lower().replace('_', '-')}"
    return f"{repository}@{_inspected(f'{repository}:12')['Digest']}"


def build(name: str, below: Bases) -> str:
    """The reference of the image that was built."""
    file = HERE / f"{IMAGES[name].containerfile}.Containerfile"
    requirements = HERE / "requirements" / f"{name}.txt"
    wheels = Path(os.environ.get("WHEELS", ROOT / "runs" / "wheels"))
    _download(requirements, wheels, python_options(requirements.with_suffix(".in")))
    if name == "triton-cpu":
        _download(TRITON, wheels, [])
    reference = f"localhost/assay-{name}:{assay.__version__}"
    arguments = {
        "BUILD_BASE": below.build,
        "BASE": below.result,
        "NAME": name,
        "VERSION": assay.__version__,
        "COMMIT": _output("git", "rev-parse", "HEAD"),
        "REQUIREMENTS": requirements.relative_to(ROOT),
        "PROGRAM": name,
    }
    options = [f"--build-arg={key}={value}" for key, value in arguments.items()]
    isolated = ["--network", "none", f"--build-context=wheels={wheels.absolute()}"]
    ignored = ["--ignorefile", str(file.with_suffix(".ignore"))]
    command = ["buildah", "bud", "-q", "--layers", *isolated, *options, *ignored, "-t", reference, "-f", str(file), "."]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    return reference


def _download(requirements: Path, wheels: Path, python: list[str]) -> None:
    """Nothing where it has been done: pip would fetch and hash every wheel again."""
    done = wheels / f".{hashlib.sha256(requirements.read_bytes()).hexdigest()}"
    if done.exists():
        return
    exactly = ["--no-deps", "--require-hashes", "--only-binary=:all:", "-d", str(wheels), "-r", str(requirements)]
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", *exactly, *python], check=True)
    done.touch()


def listed(name: str, reference: str) -> dict[str, list[list[str]]]:
    """What containers/contents.py finds inside the image."""
    container = _output("buildah", "from", "--pull-never", reference)
    try:
        python = [
            "buildah",
            "run",
            "--network",
            "none",
            container,
            "--",
            "/opt/venv/bin/python",
            "-",
            *IMAGES[name].modules,
        ]
        found = subprocess.run(python, check=True, input=Path(contents.__file__).read_bytes(), stdout=subprocess.PIPE)
    finally:
        subprocess.run(["buildah", "rm", container], check=True, stdout=subprocess.DEVNULL)
    read: dict[str, list[list[str]]] = json.loads(found.stdout)
    return read


def software_list(name: str, found: dict[str, list[list[str]]], requirements: str) -> str:
    """CycloneDX JSON of Python's and Debian's packages; wheels with the hash that they were installed by."""
    locked = re.findall(r"^(\S+)==\S+ --hash=sha256:(\w+)", requirements, re.MULTILINE)
    hashes = {_normal(wheel): HashType(alg=HashAlgorithm.SHA_256, content=digest) for wheel, digest in locked}
    bom = Bom()
    bom.metadata.component = Component(
        name=f"assay-{name}", version=assay.__version__, type=ComponentType.CONTAINER, bom_ref=f"assay-{name}"
    )
    for package, version in found["python"]:
        normal = _normal(package)
        purl = PackageURL("pypi", name=normal, version=version)
        known = [hashes[normal]] if normal in hashes else []
        bom.components.add(Component(name=normal, version=version, purl=purl, bom_ref=str(purl), hashes=known))
    for package, version, architecture in found["debian"]:
        purl = PackageURL("deb", "debian", package, version, {"arch": architecture})
        bom.components.add(Component(name=package, version=version, purl=purl, bom_ref=str(purl)))
    bom.register_dependency(bom.metadata.component, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=2)


def _normal(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def objections(name: str, found: dict[str, list[list[str]]], bytes_above_base: int) -> list[str]:
    """What must not be so, in sentences that name the image."""
    image = IMAGES[name]
    packages = {_normal(package) for package, _ in found["python"]}
    wrong = [f"{name}: {sentence}" for sentence in found["broken"]]
    wrong += [f"{name} has {tool}" for tool in found["forbidden"] if name != "triton-gpu"]
    wrong += [f"{name} has pip" for package in packages & {"pip"} if package]
    wrong += [f"{name} has torch" for package in packages & {"torch"} if package and not image.has_torch]
    if image.max_bytes is not None and bytes_above_base > image.max_bytes:
        wrong.append(f"{name} is {bytes_above_base / 1e6:.0f} MB above its base, at most {image.max_bytes / 1e6:.0f}")
    return wrong


def with_digest(kustomization: str, repository: str, name: str, digest: str) -> str:
    """The text of a kustomization in which the image is REPOSITORY/assay-NAME with this digest."""
    return re.sub(
        rf"newName: \S+/assay-{re.escape(name)}, digest: sha256:[0-9a-f]{{64}}",
        f"newName: {repository}/assay-{name}, digest: {digest}",
        kustomization,
    )


def _pin(name: str, reference: str) -> str:
    """The digest as it was written into the overlays: that of a registry for all, the local one for `local` alone."""
    repository, overlays = "localhost", [OVERLAYS / "local"]
    digest = _inspected(reference)["Digest"]
    if registry := os.environ.get("REGISTRY"):
        repository, overlays = registry, sorted(OVERLAYS.iterdir())
        digest = _pushed(reference, f"{registry}/assay-{name}:{assay.__version__}")
    for file in (overlay / "kustomization.yaml" for overlay in overlays):
        file.write_text(with_digest(file.read_text(), repository, name, digest))
    return digest


def _pushed(reference: str, target: str) -> str:
    with tempfile.NamedTemporaryFile() as digest:
        options = os.environ.get("PUSH_OPTIONS", "").split()
        command = ["buildah", "push", "-q", *options, "--digestfile", digest.name, reference, f"docker://{target}"]
        subprocess.run(command, check=True)
        return Path(digest.name).read_text().strip()


def _inspected(reference: str) -> dict[str, str]:
    return {
        key: _output("podman", "image", "inspect", "--format", f"{{{{.{key}}}}}", reference)
        for key in ("Digest", "Size")
    }


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout.strip()


def main(names: list[str]) -> int:
    """0, or 1 with a sentence for each image that is not as it should be, or 2 for a name that is none."""
    if unknown := [name for name in names if name not in IMAGES]:
        print(f"there is no image {', '.join(unknown)}; there are {', '.join(IMAGES)}", file=sys.stderr)
        return 2
    RESULTS.mkdir(parents=True, exist_ok=True)
    wrong: list[str] = []
    for name in names or BUILT_HERE:
        below = bases(name)
        reference = build(name, below)
        found = listed(name, reference)
        requirements = (HERE / "requirements" / f"{name}.txt").read_text()
        (RESULTS / f"assay-{name}.cdx.json").write_text(software_list(name, found, requirements))
        above = int(_inspected(reference)["Size"]) - int(_inspected(below.result)["Size"])
        digest = _pin(name, reference)
        print(
            f"assay-{name:<11} {above / 1e6:5.0f} MB above its base, {len(found['python'])} wheels, {digest}",
            flush=True,
        )
        wrong += objections(name, found, above)
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
