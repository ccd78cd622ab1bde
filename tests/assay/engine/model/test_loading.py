import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from assay.engine import Engine
from assay.engine.model.loading import load_model
from assay.errors import CheckpointError
from assay.weights import fingerprint
from tests.tiny_checkpoint import write_tiny_checkpoint


@pytest.fixture
def directory(tiny_directory: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(tiny_directory, tmp_path / "broken"))


def _edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _complaint(directory: Path) -> str:
    with pytest.raises(CheckpointError) as complaint:
        load_model(directory)
    return complaint.value.message


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert _complaint(tmp_path / "nano") == "there is no checkpoint directory 'nano'"


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "preprocessor_config.json"])
def test_a_missing_file_is_named(directory: Path, name: str) -> None:
    (directory / name).unlink()
    assert _complaint(directory) == f"checkpoint 'broken' lacks {name}"


def test_a_missing_shard_is_named(directory: Path) -> None:
    index = {"weight_map": {"lm_head.weight": "model-2.safetensors"}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    assert _complaint(directory) == "checkpoint 'broken' lacks model-2.safetensors"


def test_pickled_weights_are_refused(directory: Path) -> None:
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    assert "pytorch_model.bin is pickled" in _complaint(directory)


def test_code_from_the_checkpoint_is_refused(directory: Path) -> None:
    _edit(directory / "config.json", auto_map={"AutoModel": "modeling.Model"})
    assert "auto_map asks for code" in _complaint(directory)


def test_another_model_is_refused(directory: Path) -> None:
    _edit(directory / "config.json", model_type="llama")
    assert "model_type must be 'qwen2_vl', got 'llama'" in _complaint(directory)


def test_an_adapter_that_is_not_merged_is_refused(directory: Path) -> None:
    (directory / "adapter_config.json").write_text("{}")
    assert "merge it into the weights first" in _complaint(directory)


def test_a_misspelt_weight_is_named(directory: Path) -> None:
    weights = load_file(directory / "model.safetensors")
    name = next(name for name in weights if name.endswith("q_proj.weight"))
    weights[name.replace("q_proj", "q_porj")] = weights.pop(name)
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    assert "q_proj.weight" in _complaint(directory)


def test_a_weight_of_another_shape_is_named(directory: Path) -> None:
    weights = load_file(directory / "model.safetensors")
    weights["lm_head.weight"] = torch.zeros(3, 64)
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    assert "lm_head.weight" in _complaint(directory)


def test_a_truncated_weight_file_is_refused(directory: Path) -> None:
    weights = directory / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "checkpoint 'broken' cannot be loaded" in _complaint(directory)


def test_a_preprocessor_that_contradicts_the_config_is_refused(directory: Path) -> None:
    _edit(directory / "preprocessor_config.json", patch_size=16)
    assert "config.json says patch_size = 14, tokeniser or preprocessor 16" in _complaint(directory)


def test_a_config_that_is_not_json_is_named(directory: Path) -> None:
    (directory / "config.json").write_text("{")
    assert "config.json is not JSON" in _complaint(directory)


def test_the_engine_says_which_checkpoint_it_runs(engine: Engine, tiny_directory: Path) -> None:
    assert engine.checkpoint_fingerprint == fingerprint(tiny_directory)


def test_the_same_files_have_the_same_fingerprint(tiny_directory: Path, directory: Path) -> None:
    assert fingerprint(directory) == fingerprint(tiny_directory)


def test_other_weights_have_another_fingerprint(tiny_directory: Path, tmp_path: Path) -> None:
    assert fingerprint(write_tiny_checkpoint(tmp_path, seed=1)) != fingerprint(tiny_directory)


def test_another_tokeniser_has_another_fingerprint(tiny_directory: Path, directory: Path) -> None:
    with (directory / "tokenizer.json").open("a") as file:
        file.write("\n")
    assert fingerprint(directory) != fingerprint(tiny_directory)


def test_on_a_cpu_the_weights_are_float32(directory: Path) -> None:
    _edit(directory / "config.json", dtype="bfloat16")
    assert load_model(directory).model.dtype == torch.float32
