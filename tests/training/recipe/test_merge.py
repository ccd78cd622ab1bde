import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from assay.engine.checkpoint import load_checkpoint
from assay.errors import CheckpointError
from training.recipe.adapter import current_names, with_adapter
from training.recipe.base import load_base
from training.recipe.merge import adapted_layers, check_layers, merge, probes


def without_vision(adapter: Path, out: Path, *, in_file_too: bool) -> Path:
    """A copy of the adapter whose configuration leaves the tower out, and its weights as well if asked for."""
    shutil.copytree(adapter, out)
    config = json.loads((out / "adapter_config.json").read_text())
    (out / "adapter_config.json").write_text(json.dumps(config | {"exclude_modules": r".*visual.*"}))
    if in_file_too:
        weights = load_file(out / "adapter_model.safetensors")
        language = {name: value for name, value in weights.items() if "visual" not in name}
        save_file(language, out / "adapter_model.safetensors")
    return out


def test_a_merge_is_proven_and_the_engine_loads_it(base: Path, adapter: Path, tmp_path: Path) -> None:
    proof = merge(base, adapter, tmp_path / "merged")
    load_checkpoint(tmp_path / "merged", "cpu")
    assert max(proof.picture, proof.text) < 1e-4 < proof.adapter_moves_picture


def test_vision_weights_that_find_no_home_are_refused_by_name(base: Path, adapter: Path, tmp_path: Path) -> None:
    blind = without_vision(adapter, tmp_path / "blind", in_file_too=False)
    with pytest.raises(CheckpointError, match=r"find no home.*visual\.blocks"):
        merge(base, blind, tmp_path / "merged")


def test_an_adapter_without_vision_layers_is_refused_unless_meant(base: Path, adapter: Path, tmp_path: Path) -> None:
    language = without_vision(adapter, tmp_path / "language", in_file_too=True)
    with pytest.raises(CheckpointError, match="--language-only"):
        merge(base, language, tmp_path / "merged")


def test_a_merge_that_lost_the_vision_layers_is_refused_by_name(base: Path, adapter: Path) -> None:
    adapted = with_adapter(load_base(base, torch.float32), adapter)
    layers = adapted_layers(adapted)
    wanted = probes(layers)
    language = {name: layer for name, layer in layers.items() if "language_model" in name}
    merged = load_base(base, torch.float32)
    with torch.no_grad():
        for name, layer in language.items():
            merged.get_parameter(f"{name}.weight").add_(layer.get_delta_weight("default"))
    with pytest.raises(CheckpointError, match=r"lost the adapter in .*model\.visual"):
        check_layers(merged, wanted, torch.float32)


def test_a_refused_merge_leaves_nothing_under_its_name(base: Path, adapter: Path, tmp_path: Path) -> None:
    blind = without_vision(adapter, tmp_path / "blind", in_file_too=False)
    with pytest.raises(CheckpointError):
        merge(base, blind, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_adapters_of_before_transformers_5_find_their_layers() -> None:
    old = {"base_model.model.visual.blocks.0.attn.qkv.lora_A.weight": torch.zeros(1),
           "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight": torch.zeros(1)}  # fmt: skip
    assert list(current_names(old)) == [
        "base_model.model.model.visual.blocks.0.attn.qkv.lora_A.weight",
        "base_model.model.model.language_model.layers.0.mlp.up_proj.lora_A.weight",
    ]
