"""docs/flow.md follows one request; what it names must be there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/flow.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w/.]+(?:/|\.(?:py|proto|toml|md)))`", PAGE)))


@pytest.mark.parametrize("name", NAMED)
def test_every_file_on_the_way_exists(name):
    assert (ROOT / name).exists()


@pytest.mark.parametrize(("way", "most"), [("Up", 25), ("Down", 12)])
def test_a_request_is_walked_in_few_files(way, most):
    section = PAGE.partition(f"## {way}")[2].partition("\n## ")[0]
    assert 0 < len(set(re.findall(r"`([\w/.]+\.(?:py|proto))`", section))) <= most
