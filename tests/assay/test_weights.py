"""Files of a checkpoint, inspected without a model."""

import json
import os
from pathlib import Path

import pytest

from assay import weights
from assay.errors import CheckpointError
from assay.weights import count_weights


def with_weights(directory: Path, missing_bytes: int = 0) -> Path:
    """One file of safetensors: 6 + 4 numbers."""
    rows = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "b": {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]},
    }
    header = json.dumps(rows).encode()
    data = len(header).to_bytes(8, "little") + header + bytes(32 - missing_bytes)
    (directory / "model.safetensors").write_bytes(data)
    return directory


def test_parameters_are_counted_from_the_headers(tmp_path):
    count = count_weights(with_weights(tmp_path))
    assert (count.parameters, count.tensor_bytes, count.dtypes) == (10, 32, ("BF16", "F32"))


def test_a_download_that_broke_off_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"model\.safetensors has \d+ bytes, its header says \d+; fetch it again"):
        count_weights(with_weights(tmp_path, missing_bytes=1))


@pytest.mark.parametrize("content", [b"", b"<html>no such file</html>", (9).to_bytes(8, "little") + b"not json!"])
def test_what_is_no_safetensors_is_named(tmp_path, content):
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors is no safetensors file"):
        count_weights(tmp_path)


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    """Small, but recorded as large ones are."""
    monkeypatch.setattr(weights, "RECORDED_BYTES", 1)
    for name in weights.NEEDED:
        (tmp_path / name).write_text("{}")
    return with_weights(tmp_path)


def overwrite(directory, *, keep_time):
    file = directory / "model.safetensors"
    before = file.stat()
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    if keep_time:
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_the_hash_of_large_weights_is_computed_once(checkpoint, monkeypatch):
    first = weights.fingerprint(checkpoint)
    monkeypatch.setattr(weights.hashlib, "sha256", None)
    assert weights.fingerprint(checkpoint) == first


def test_weights_that_were_written_again_are_hashed_again(checkpoint):
    first = weights.fingerprint(checkpoint)
    overwrite(checkpoint, keep_time=False)
    assert weights.fingerprint(checkpoint) != first


def test_to_verify_is_to_hash(checkpoint):
    first = weights.fingerprint(checkpoint)
    overwrite(checkpoint, keep_time=True)
    assert weights.fingerprint(checkpoint) == first != weights.fingerprint(checkpoint, verify=True)


def test_a_record_that_cannot_be_read_is_not_believed(checkpoint):
    first = weights.fingerprint(checkpoint)
    (checkpoint / "fingerprint.json").write_text("[]")
    assert weights.fingerprint(checkpoint) == first


def test_small_weights_get_no_record(checkpoint, monkeypatch):
    monkeypatch.setattr(weights, "RECORDED_BYTES", 1 << 20)
    weights.fingerprint(checkpoint)
    assert not (checkpoint / "fingerprint.json").exists()
