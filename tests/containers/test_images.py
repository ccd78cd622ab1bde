"""containers/images.py, without building anything."""

import json

from containers.contents import debian_packages, import_failure
from containers.images import objections, software_list, with_digest

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
