"""containers/images.py, without building anything."""

import json
import re
import sys
from importlib.metadata import packages_distributions

import grimp
import pytest

from containers.contents import debian_packages, import_failure
from containers.images import HERE, IMAGES, objections, software_list, with_digest

CLEAN = {"python": [["numpy", "1.26.4"]], "debian": [["libc6", "2.36-9", "amd64"]], "forbidden": [], "broken": []}
OVERLAY = f"""images:
  - {{name: assay-gateway, newName: localhost/assay-gateway, digest: sha256:{"0" * 64}}}
  - {{name: assay-triton, newName: localhost/assay-triton-cpu, digest: sha256:{"0" * 64}}}
"""


def test_a_digest_is_written_to_its_own_image_with_the_registry():
    written = with_digest(OVERLAY, "registry.example/a", "triton-cpu", f"sha256:{'5' * 64}")
    assert f"newName: registry.example/a/assay-triton-cpu, digest: sha256:{'5' * 64}" in written
    assert f"newName: localhost/assay-gateway, digest: sha256:{'0' * 64}" in written


def test_nothing_is_said_of_an_image_that_is_as_it_should_be():
    assert objections("gateway", CLEAN, 390_000_000) == []


def test_what_must_not_be_in_an_image_is_named():
    found = CLEAN | {
        "python": [["torch", "2.13.0"], ["pip", "24"]],
        "forbidden": ["gcc"],
        "broken": ["gateway.__main__ cannot be imported: No module named 'av'"],
    }
    said = "\n".join(objections("gateway", found, 401_000_000))
    for word in ("has torch", "has pip", "has gcc", "No module named 'av'", "401 MB above its base, at most 400"):
        assert word in said


def test_torch_is_no_objection_in_tritons_image():
    assert objections("triton-cpu", CLEAN | {"python": [["torch", "2.13.0"]]}, 2_000_000_000) == []


def test_the_software_list_has_wheels_by_hash_and_debian_packages():
    listed = json.loads(software_list("gateway", CLEAN, f"numpy==1.26.4 --hash=sha256:{'6' * 64}\n"))
    by_name = {component["name"]: component for component in listed["components"]}
    assert by_name["numpy"]["purl"] == "pkg:pypi/numpy@1.26.4"
    assert by_name["numpy"]["hashes"] == [{"alg": "SHA-256", "content": "6" * 64}]
    assert by_name["libc6"]["purl"] == "pkg:deb/debian/libc6@2.36-9?arch=amd64"


def test_packages_of_debian_are_read_from_its_status_file():
    status = "Package: a\nVersion: 1\nArchitecture: all\n\nPackage: b\nStatus: removed\n"
    assert debian_packages(status) == [("a", "1", "all")]


def test_a_module_that_cannot_be_imported_is_named_with_the_reason():
    assert import_failure("json") == ""
    assert "no_such_module cannot be imported: No module named" in import_failure("no_such_module")


OURS = ("assay", "gateway", "services", "ingest", "triton_server")
WORKERS = {"gateway": ["gateway.decode.worker"]}
"""Started by name, which no import shows."""
LEFT_OUT = {"huggingface_hub"}
"""Of `assay checkpoint prepare`, which imports it when it runs: in Triton's image."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*OURS, include_external_packages=True, cache_dir=None)


def locked(image: str) -> dict[str, str]:
    lines = (HERE / "requirements" / f"{image}.txt").read_text()
    return {normal(name): version for name, version in re.findall(r"^(\S+?)==([^\s+]+)", lines, re.MULTILINE)}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def owners() -> dict[str, list[str]]:
    return packages_distributions()


@pytest.mark.parametrize("image", ["gateway", "services", "ingest"])
def test_an_image_has_a_wheel_for_each_library_that_its_programs_import(image, graph, owners):
    left = [name for name in IMAGES[image].modules if name.split(".")[0] in OURS] + WORKERS.get(image, [])
    reached: set[str] = set()
    while left:
        name = left.pop()
        if name not in reached:
            reached.add(name)
            left += graph.find_modules_directly_imported_by(name) if name in graph.modules else []
            left += [name.rpartition(".")[0]] if "." in name else []
    wheels = locked(image).keys()
    libraries = {name for name in reached if "." not in name} - {*OURS, *LEFT_OUT, *sys.stdlib_module_names}
    assert [each for each in sorted(libraries) if wheels.isdisjoint(map(normal, owners[each]))] == []


@pytest.mark.parametrize("image", list(IMAGES))
def test_wheels_are_of_the_versions_that_are_tested(image):
    constraints = (HERE.parent / "constraints.txt").read_text()
    pinned = {normal(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", constraints, re.MULTILINE)}
    other = {name: version for name, version in locked(image).items() if pinned.get(name, version) != version}
    assert other == {}
