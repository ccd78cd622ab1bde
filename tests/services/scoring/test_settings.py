"""Composite weights on disk."""

from pathlib import Path

import pytest

from assay.composite import CompositeWeights
from assay.errors import CheckpointError
from services.scoring.settings import read_tenants

WEIGHTS = CompositeWeights(minimum=0, maximum=10, intercept=1, weights={"clarity": 2})


def stored(directory: Path, *names: str) -> Path:
    for name in names:
        (directory / name).write_text(WEIGHTS.model_dump_json())
    return directory


def test_a_file_is_a_tenant(tmp_path):
    assert read_tenants(stored(tmp_path, "acme.json", "b-2.json")) == {"acme": WEIGHTS, "b-2": WEIGHTS}


def test_a_directory_without_tenants_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no TENANT\.json"):
        read_tenants(tmp_path)


@pytest.mark.parametrize("name", ["Acme.json", "a b.json", f"{'a' * 64}.json"])
def test_a_name_that_no_request_should_have_to_spell_is_refused(tmp_path, name):
    with pytest.raises(CheckpointError, match="a tenant's name"):
        read_tenants(stored(tmp_path, name))


def test_a_file_that_cannot_be_read_names_itself(tmp_path):
    (tmp_path / "acme.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"acme\.json"):
        read_tenants(tmp_path)
