"""The layout is a river: what .importlinter says, and what it cannot say."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = (
    "assay",
    "gateway",
    "services",
    "ingest",
    "triton_server",
    "triton_models",
    "data",
    "training",
    "evaluation",
    "benchmarks",
)
SOURCES = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "/v1/" not in str(path)]
NOUNS = ("attribute", "form", "frame", "score", "transcript", "spread", "video", "errors")


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def modules_after(statement: str) -> set[str]:
    """Top-level modules that are loaded once the statement has run in a fresh interpreter."""
    program = f"{statement}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(result.stdout.split())


@pytest.mark.slow
def test_the_import_rules_hold():
    linter = Path(sys.executable).parent / "lint-imports"
    result = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("noun", NOUNS)
def test_a_noun_imports_nothing_of_ours_but_errors(noun):
    ours = {name for name in imports(ROOT / "assay" / f"{noun}.py") if name.startswith("assay")}
    assert ours <= {"assay.errors"}


@pytest.mark.parametrize(
    ("module", "doors"),
    [
        # The last two make clips.
        ("av", ("gateway/decode", "ingest/pull.py", "evaluation/clips.py", "benchmarks/decode/clips.py")),
        ("torch", ("assay/engine/", "training/", "benchmarks/")),
        ("tritonclient", ("assay/triton.py",)),
        ("httpcore2", ("assay/web/",)),
        ("obstore", ("services/fetch/",)),
        ("scenedetect", ("gateway/scenes.py",)),
        ("triton_python_backend_utils", ("triton_models/",)),
    ],
)
def test_a_library_comes_in_by_its_own_door(module, doors):
    users = [str(path.relative_to(ROOT)) for path in SOURCES if module in {n.partition(".")[0] for n in imports(path)}]
    assert [user for user in users if not user.startswith(doors)] == []


def test_the_environment_is_read_in_one_place():
    readers = [str(path.relative_to(ROOT)) for path in SOURCES if "os.environ" in path.read_text()]
    assert [reader for reader in readers if not reader.startswith("assay/rpc/")] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_says_that_it_holds_anything(path):
    assert not {"utils", "util", "common", "helpers", "helper", "misc"} & set(path.with_suffix("").parts)


def test_the_client_loads_neither_torch_nor_av_nor_triton():
    assert not modules_after("import assay.client, assay.cli") & {"torch", "av", "tritonclient", "transformers"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "program",
    ["gateway", "services.scoring", "services.attribute_extraction", "services.fetch", "ingest", "triton_server"],
)
def test_a_program_starts_without_torch(program):
    assert "torch" not in modules_after(f"import {program}.__main__")


def test_the_model_is_a_door_of_at_most_a_hundred_lines():
    lines = (ROOT / "triton_models/qwen2_vl/1/model.py").read_text().splitlines()
    assert len(lines) <= 100
