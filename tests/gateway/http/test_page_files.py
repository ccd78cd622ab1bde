"""The page's built files: of their sources, small, and asking nobody else."""

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.page.browser import PAGE_FILES

ROOT = Path(__file__).parents[3]


def test_the_page_is_at_most_150_kb_compressed():
    loaded = [PAGE_FILES / name for name in ("index.html", "page.css", "page.js", "icon.svg")]
    assert sum(len(gzip.compress(path.read_bytes())) for path in loaded) <= 150_000


@pytest.mark.browser_full
def test_the_built_files_are_those_of_the_sources(tmp_path):
    if shutil.which("npm") is None:
        pytest.skip("no Node.js here: apt-get install nodejs npm")
    subprocess.run(["make", "page", f"OUT={tmp_path}"], cwd=ROOT, check=True)
    built = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert built == {path.name: path.read_bytes() for path in PAGE_FILES.iterdir()}
