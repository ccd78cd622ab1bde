"""python containers/lock.py: requirements/*.in -> *.txt, every wheel by version and hash, as pip resolves them here.

The versions are held by constraints.txt; the hashes are of wheels for Linux on x86-64 and CPython 3.11.
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
    report = json.loads(subprocess.run([*resolve, *held], check=True, stdout=subprocess.PIPE).stdout)
    lines = [
        f"{each['metadata']['name'].lower()}=={each['metadata']['version']} "
        f"--hash=sha256:{each['download_info']['archive_info']['hashes']['sha256']}"
        for each in report["install"]
    ]
    return "\n".join(["# Made by containers/lock.py. Do not edit.", *sorted(lines), ""])


def main() -> None:
    for requirements in sorted((HERE / "requirements").glob("*.in")):
        if requirements.name != "client.in":
            requirements.with_suffix(".txt").write_text(locked(requirements))


if __name__ == "__main__":
    main()
