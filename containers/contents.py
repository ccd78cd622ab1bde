"""Runs inside an image, with nothing but the standard library: what is installed there, as JSON on standard output, and
which of the modules named in the arguments cannot be imported."""

import importlib
import importlib.metadata
import json
import shutil
import sys
from pathlib import Path

FORBIDDEN = ("pip", "pip3", "cc", "gcc", "g++", "clang", "ld", "make")


def debian_packages(status: str) -> list[tuple[str, str, str]]:
    """Name, version and architecture of every paragraph of dpkg's status file."""
    paragraphs = (
        dict(line.split(": ", 1) for line in each.splitlines() if ": " in line) for each in status.split("\n\n")
    )
    return [(each["Package"], each["Version"], each["Architecture"]) for each in paragraphs if "Version" in each]


def import_failure(module: str) -> str:
    """Why the module cannot be imported, empty if it can; its program is not run."""
    try:
        importlib.import_module(module)
    except ImportError as failure:
        return f"{module} cannot be imported: {failure}"
    return ""


def main() -> None:
    status = Path("/var/lib/dpkg/status")
    found = {
        "python": sorted((each.metadata["Name"], each.version) for each in importlib.metadata.distributions()),
        "debian": debian_packages(status.read_text()) if status.is_file() else [],
        "forbidden": [name for name in FORBIDDEN if shutil.which(name)],
        "broken": [said for module in sys.argv[1:] if (said := import_failure(module))],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
