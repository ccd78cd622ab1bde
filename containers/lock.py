"""python containers/lock.py [NAME …]: requirements/*.in -> *.txt, every wheel by version and hash, as pip resolves
them here.

The versions are held by constraints.txt; the hashes are of wheels for Linux on x86-64 and CPython 3.11, or the one of a
line `# python: 3.12`. A line `# without: NAME …` leaves out wheels that something asks for and no program of the image
imports, or that its base has.
"""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
CONSTRAINTS = HERE.parent / "constraints.txt"


def locked(requirements: Path) -> str:
    """A line per wheel. CalledProcessError if pip cannot resolve them; its words are on standard error."""
    resolve = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    held = ["--only-binary=:all:", "-c", str(CONSTRAINTS), "-r", str(requirements)]
    python = python_options(requirements)
    # pip wants a directory for what is of another interpreter, and writes nothing there.
    command = [*resolve, *held, *python, *(["--target", "unused"] if python else [])]
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    left_out = {name for names in _directives(requirements, "without") for name in names.split()}
    lines = [
        f"{each['metadata']['name'].lower()}=={each['metadata']['version']} "
        f"--hash=sha256:{each['download_info']['archive_info']['hashes']['sha256']}"
        for each in report["install"]
        if each["metadata"]["name"].lower() not in left_out
    ]
    return "\n".join(["# Made by containers/lock.py. Do not edit.", *sorted(lines), ""])


def python_options(requirements: Path) -> list[str]:
    """pip's options for the interpreter of the image; none if it is the one that runs here."""
    platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in (28, 17)]
    for version in _directives(requirements, "python"):
        return [f"--python-version={version}", *platforms, "--platform=manylinux2014_x86_64"]
    return []


def _directives(requirements: Path, name: str) -> list[str]:
    mark = f"# {name}:"
    return [line.removeprefix(mark).strip() for line in requirements.read_text().splitlines() if line.startswith(mark)]


def main(names: list[str]) -> None:
    for requirements in sorted((HERE / "requirements").glob("*.in")):
        if requirements.stem in (names or [each.stem for each in requirements.parent.glob("*.txt")]):
            requirements.with_suffix(".txt").write_text(locked(requirements))


if __name__ == "__main__":
    main(sys.argv[1:])
