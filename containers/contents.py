"""Runs inside an image, with nothing but the standard library: what is installed there, as JSON on standard output."""

import importlib.metadata
import json
import shutil
from pathlib import Path

FORBIDDEN = ("pip", "pip3", "cc", "gcc", "g++", "clang", "ld", "make")


def debian_packages(status: str) -> list[tuple[str, str, str]]:
    """Name, version and architecture of every paragraph of dpkg's status file."""
    paragraphs = (
        dict(line.split(": ", 1) for line in each.splitlines() if ": " in line) for each in status.split("\n\n")
    )
    return [(each["Package"], each["Version"], each["Architecture"]) for each in paragraphs if "Version" in each]


def main() -> None:
    status = Path("/var/lib/dpkg/status")
    found = {
        "python": sorted((each.metadata["Name"], each.version) for each in importlib.metadata.distributions()),
        "debian": debian_packages(status.read_text()) if status.is_file() else [],
        "forbidden": [name for name in FORBIDDEN if shutil.which(name)],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
