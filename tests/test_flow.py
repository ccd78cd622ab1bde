"""docs/flow.md follows one request; what it names must be there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NAMED = sorted(set(re.findall(r"`([\w/.]+(?:/|\.(?:py|proto|toml|md)))`", (ROOT / "docs/flow.md").read_text())))


@pytest.mark.parametrize("name", NAMED)
def test_every_file_on_the_way_exists(name):
    assert (ROOT / name).exists()
