"""The layout is a river: what .importlinter says, and what it cannot say."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests import architecture
from tests.architecture import SOURCES

ROOT = Path(__file__).parent.parent
NOUNS = ("attribute", "form", "frame", "score", "transcript", "video", "errors")


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
        ("torch", ("assay/engine/", "assay/vllm/", "triton_models/", "training/", "benchmarks/")),
        ("vllm", ("assay/vllm/", "benchmarks/engine/peers/")),
        ("tritonclient", ("assay/triton/",)),
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
    # What builds images and plays pods is configured by make and podman, in their way; the collector of spans sets it.
    programs = ("assay/rpc/", "k8s/", "containers/", "benchmarks/stack/spans.py")
    assert [reader for reader in readers if not reader.startswith(programs)] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_says_that_it_holds_anything(path):
    assert not {"utils", "util", "common", "helpers", "helper", "misc"} & set(path.with_suffix("").parts)


def test_the_client_loads_neither_torch_nor_av_nor_triton():
    assert not modules_after("import assay.client, assay.cli") & {"torch", "av", "tritonclient", "transformers"}


def test_decoding_loads_no_torch():
    assert not modules_after("import assay.decoding.sequence") & {"torch", "transformers", "vllm"}


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


def test_the_drawing_is_that_of_the_imports():
    reported = "docs/architecture.md is not what the imports say; run `.venv/bin/python -m tests.architecture`"
    assert architecture.PAGE.read_text(encoding="utf-8") == architecture.page(), reported


def test_no_class_name_is_defined_twice():
    found = architecture.classes()
    assert {name: files for name, files in found.items() if name not in architecture.SAME_NAMES} == {}


def test_no_file_is_small_without_a_reason():
    found = architecture.small_files()
    assert {file: lines for file, lines in found.items() if file not in architecture.SMALL_FILES} == {}


def test_no_file_is_large_without_a_reason():
    found = architecture.large_files()
    assert {file: lines for file, lines in found.items() if file not in architecture.LARGE_FILES} == {}


def test_every_test_mirrors_a_module():
    assert [name for name in architecture.tests_without_a_module() if name not in architecture.MIRRORLESS] == []


def test_nothing_imports_itself_in_a_circle():
    assert [sorted(circle) for circle in architecture.circles() if circle not in architecture.CIRCLES] == []


def test_no_home_made_word_stands_for_one_of_the_field():
    assert architecture.home_made_words() == []
