"""The drawing of packages and their arrows, and what is counted of the house: names, files, circles.

python -m tests.architecture            # writes docs/architecture.md, and says which exceptions are no longer needed
python -m tests.architecture --counts   # lines and files of the serving programs, functions, classes, circles
"""

import ast
import functools
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import grimp

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
    "k8s",
    "containers",
)
SERVING = ("assay", "services", "gateway", "ingest", "triton_server", "triton_models")
SOURCES = tuple(path for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py")) if "/v1/" not in str(path))
TESTS = ROOT / "tests"
PAGE = ROOT / "docs" / "architecture.md"
_PER_PROGRAM = ("settings.py", "service.py")
_CLASS = re.compile(r"^ *class (\w+)[(:]", re.MULTILINE)

SAME_NAMES: frozenset[str] = frozenset({})
"""Classes that are defined more than once today, and are to be renamed."""
SMALL_FILES: Mapping[str, str] = {
    "assay/cli/__main__.py": "so that `python -m assay.cli` runs",
    "assay/cli/connection.py": "score, live and doctor need it, and it loads pydantic only where it must",
    "assay/cli/key.py": "a command by itself",
    "assay/cli/settings.py": "a program's settings stand by themselves",
    "assay/magic.py": "a noun; the client must know it without the rest",
    "assay/rpc/admission.py": "one interceptor among several, each of its own",
    "assay/stack/leash.py": "run as a script by its path, so it imports nothing of ours",
    "assay/transcript.py": "a noun",
    "k8s/alerts.py": "a command by itself",
    "services/attribute_extraction/settings.py": "a program's settings stand by themselves",
}
"""Files under 30 lines, and why they stand alone."""
LARGE_FILES: Mapping[str, str] = {}
"""Files over 320 lines, and why they are one."""
CIRCLES: frozenset[frozenset[str]] = frozenset()
"""Siblings of one package that import each other today, hidden imports included."""
ACROSS: Mapping[str, str] = {
    "tests/e2e": "several programs together",
    "tests/hostile": "what attackers send",
    "tests/media": "files of every kind through the whole decoder",
    "tests/page": "the built page in a browser",
}
"""Folders of tests that mirror no module, and what is tested there."""
MIRRORLESS: Mapping[str, str] = {
    "tests/assay/test_settings_table.py": "docs/settings.md, which is of every program",
    "tests/test_flow.py": "docs/flow.md",
}
"""Tests elsewhere that mirror no module, and what they are of."""
_WORDED = (".py", ".proto", ".toml", ".yaml", ".rego", ".pbtxt", ".sh")
_PAGES = ("docs/**/*.md", "README.md", "Makefile", "checkpoints/*/*.md", "page/src/*.*")
_HOME_MADE = re.compile(
    r"(?<![a-zA-Z])(told|untold|beside|whoever|looked|kept|seen|steady|desk|lane|seat"
    r"|(?:be|is|are|was|were) had)(?![a-zA-Z])",
    re.IGNORECASE,
)


def classes() -> dict[str, list[str]]:
    """Name -> the files that define it, of names that are defined more than once outside of settings and services."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in SOURCES:
        if path.name not in _PER_PROGRAM:
            for name in _CLASS.findall(path.read_text(encoding="utf-8")):
                found[name].append(str(path.relative_to(ROOT)))
    return {name: files for name, files in found.items() if len(files) > 1}


def small_files() -> dict[str, int]:
    """File -> lines, of those under 30 that are more than the docstring of a package."""
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    return {file: count for file, count in lines.items() if count < 30 and not file.endswith("__init__.py")}


def large_files() -> dict[str, int]:
    """File -> lines, of those over 320."""
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    return {file: count for file, count in lines.items() if count > 320}


def tests_without_a_module() -> list[str]:
    """Those that mirror neither a module or package by their path nor a tool of the tests in the same folder."""
    found = [path for path in sorted(TESTS.rglob("test_*.py")) if not _mirrors(path)]
    names = [str(path.relative_to(ROOT)) for path in found]
    return [name for name in names if not name.startswith(tuple(f"{folder}/" for folder in ACROSS))]


def _mirrors(test: Path) -> bool:
    name = test.stem.removeprefix("test_")
    mirrored = ROOT / test.parent.relative_to(TESTS)
    # The files of a Triton model are in a folder per version.
    there = [*mirrored.glob("*"), *mirrored.glob("1/*.py"), *test.parent.glob(f"{name}.py"), *test.parent.glob(name)]
    return name in {path.stem.lower().replace("-", "_").strip("_") for path in there}


def home_made_words() -> list[str]:
    """FILE:LINE: WORD of those that stand in code, settings or documents for a word of the field."""
    folders = (*PACKAGES, "protos", "tests", "checkpoints", "demo", "observability")
    written = [path for name in folders for path in (ROOT / name).rglob("*") if path.suffix in _WORDED]
    pages = [path for pattern in _PAGES for path in ROOT.glob(pattern)]
    return [
        f"{path.relative_to(ROOT)}:{number}: {found.group(1)}"
        for path in (*written, *pages)
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for found in _HOME_MADE.finditer(line)
    ]


@functools.cache
def graph() -> grimp.ImportGraph:
    """Every import of every module, also those inside functions."""
    first, *others = (name for name in PACKAGES if name != "triton_models")
    return grimp.build_graph(first, *others, include_external_packages=False, cache_dir=None)


def circles() -> set[frozenset[str]]:
    """Siblings (modules or packages, with all below them) that reach each other by imports."""
    modules = graph().modules
    parents = {"", *(module for module in modules if graph().find_children(module))}
    found: set[frozenset[str]] = set()
    for parent in parents:
        arrows: dict[str, set[str]] = defaultdict(set)
        for importer, imported in _imports(modules):
            one, other = _child(parent, importer), _child(parent, imported)
            if one and other and one != other:
                arrows[one].add(other)
        found |= _loops(arrows)
    return found


def _imports(modules: Iterable[str]) -> Iterator[tuple[str, str]]:
    for module in modules:
        for imported in graph().find_modules_directly_imported_by(module):
            yield module, imported


def _child(parent: str, module: str) -> str:
    """The child of `parent` ("" for the root) that holds the module; "" if it lies elsewhere."""
    if not parent:
        return module.partition(".")[0]
    if not module.startswith(f"{parent}."):
        return ""
    return f"{parent}.{module.removeprefix(f'{parent}.').partition('.')[0]}"


def _loops(arrows: Mapping[str, set[str]]) -> set[frozenset[str]]:
    reached = {start: _reached(start, arrows) for start in arrows}
    loops = (frozenset(other for other in reached[one] if one in reached.get(other, ())) for one in reached)
    return {loop for loop in loops if len(loop) > 1}


def _reached(start: str, arrows: Mapping[str, set[str]]) -> set[str]:
    """Everything behind the arrows from `start`."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for other in arrows.get(waiting.pop(), ()):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found


def _box(module: str) -> str:
    """Where a module stands in the drawing: assay and services are opened by one level."""
    top, _, rest = module.partition(".")
    if top == "services" and rest:
        return ".".join(module.split(".")[:2])
    if top == "assay":
        child = ".".join(module.split(".")[:2])
        return child if graph().find_children(child) else "assay"
    return top


def page() -> str:
    """docs/architecture.md."""
    arrows = {(_box(one), _box(other)) for one, other in _imports(graph().modules)}
    arrows |= {("triton_models", name) for name in _imported_by_triton_models()}
    names = {box: box.replace(".", "_") for pair in arrows for box in pair if box != "assay.v1"}
    drawn = sorted((one, other) for one, other in arrows if one != other and "assay.v1" not in (one, other))
    lines = [f'    {names[one]}["{one}"] --> {names[other]}["{other}"]' for one, other in drawn]
    return "\n".join([_PREFACE, "```mermaid", "graph TD", *lines, "```", ""])


def _imported_by_triton_models() -> set[str]:
    """Its folders are named by version, so that no import graph holds them."""
    found: set[str] = set()
    for path in SOURCES:
        if path.is_relative_to(ROOT / "triton_models"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in PACKAGES:
                    found.add(_box(node.module))
    return found


_PREFACE = """# Packages and their arrows

Made by `.venv/bin/python -m tests.architecture` from the imports of every module, also those inside functions; an arrow
points at what is imported. `assay` is the library's modules (nouns, steps, the wire); its packages have boxes of their
own, but for the generated `assay.v1`. The rules behind the drawing stand in `.importlinter`. A test checks them, this
page, that no package imports itself in a circle, that no class name is defined twice, that no file is small (under 30
lines) or large (over 320) without a reason, that every test mirrors a module, and that no word of our own stands for
one of the field's; the exceptions are listed in `tests/architecture.py`.
"""


def counts() -> str:
    """Lines and files of each program, functions by length, and the exceptions to the rules; Markdown."""
    rows = [(name, [path for path in SOURCES if path.is_relative_to(ROOT / name)]) for name in SERVING]
    rows.append(("in all", [path for _, paths in rows for path in paths]))
    lengths = sorted((node.end_lineno - node.lineno + 1, where) for where, node in _functions(rows[-1][1]))
    longest, where = lengths[-1]
    others = (ROOT / name for name in (*PACKAGES, "protos", "demo"))
    product, tests = (sum(map(_lines, paths)) for paths in (_written(others), _written([TESTS])))
    return "\n".join(
        [
            "| program | lines | files |\n|---|---|---|",
            *(f"| {name} | {sum(map(_lines, paths)):,} | {len(paths)} |" for name, paths in rows),
            "",
            f"{len(lengths):,} functions: median {lengths[len(lengths) // 2][0]} lines, p95 "
            f"{lengths[len(lengths) * 95 // 100][0]}, longest {longest} ({where})",
            f"{len(classes())} classes defined twice, {len(small_files())} files under 30 lines (each with its reason "
            f"in SMALL_FILES), {len(large_files())} over 320, {len(circles())} circles",
            f"{tests:,} lines of tests for {product:,}: {tests / product:.2f}",
        ]
    )


def _functions(paths: Iterable[Path]) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(ROOT)}: {node.name}", node


def _written(folders: Iterable[Path]) -> list[Path]:
    """Those of Python that no tool has made."""
    return [path for folder in folders for path in folder.rglob("*.py") if "_pb2" not in path.name]


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def main(arguments: Sequence[str]) -> None:
    if "--counts" in arguments:
        print(counts())
        return
    PAGE.write_text(page(), encoding="utf-8")
    for what, listed, found in (
        ("class defined once", SAME_NAMES, classes().keys()),
        ("file of 30 lines or more", SMALL_FILES.keys(), small_files().keys()),
        ("file of 320 lines or fewer", LARGE_FILES.keys(), large_files().keys()),
        ("circle that is open", CIRCLES, circles()),
    ):
        for gone in sorted(map(str, set(listed) - set(found))):
            print(f"tests/architecture.py still lists a {what}: {gone}")


if __name__ == "__main__":
    main(sys.argv[1:])
