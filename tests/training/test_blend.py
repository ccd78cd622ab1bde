"""Weights between two checkpoints."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from training.blend import blended, main


def test_a_share_of_a_quarter_lies_a_quarter_of_the_way() -> None:
    between = blended({"a": torch.tensor([0.0, 4.0])}, {"a": torch.tensor([4.0, 8.0])}, 0.25)
    assert between["a"].tolist() == [1.0, 5.0]


def test_checkpoints_of_two_shapes_are_refused_by_the_name_of_the_tensor() -> None:
    with pytest.raises(ValueError, match="head"):
        blended({"head": torch.zeros(2)}, {"head": torch.zeros(3)}, 0.5)


def test_the_rest_of_a_checkpoint_is_that_of_the_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("first", 0.0), ("second", 1.0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "assay.toml").write_text(name)
        save_file({"a": torch.full((2,), value, dtype=torch.float16)}, tmp_path / name / "model.safetensors")
    paths = {option: str(tmp_path / option) for option in ("first", "second", "out")}
    arguments = [part for option, path in paths.items() for part in (f"--{option}", path)]
    monkeypatch.setattr(sys, "argv", ["blend", *arguments, "--share", "0.5"])
    main()
    made = load_file(tmp_path / "out" / "model.safetensors")["a"].tolist()
    assert ((tmp_path / "out" / "assay.toml").read_text(), made) == ("second", [0.5, 0.5])
