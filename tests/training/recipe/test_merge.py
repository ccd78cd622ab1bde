import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from assay.engine.model.loading import load_model
from assay.errors import CheckpointError
from assay.weights import StoredTensor, stored_tensors
from tests.checkpoints import NANO
from tests.rehearsal.weights import miniature_shape, write_adapter, write_base
from training.recipe import merge as merging
from training.recipe.adapter import adapted_layers, current_names, with_adapter, without_base
from training.recipe.base import load_base
from training.recipe.merge import merge
from training.recipe.proof import LayerProbe, StoredWeights, check_copies, check_layers, compare_outputs, probe
from training.recipe.weight_files import write_index


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
    load_model(tmp_path / "merged")
    assert max(proof.worst_layer, proof.worst_output) <= proof.tolerance < 1e-5 < proof.adapter_moves


def test_vision_weights_that_find_no_home_are_refused_by_name(base: Path, adapter: Path, tmp_path: Path) -> None:
    blind = without_vision(adapter, tmp_path / "blind", in_file_too=False)
    with pytest.raises(CheckpointError, match=r"find no home.*visual\.blocks"):
        merge(base, blind, tmp_path / "merged")


def test_an_adapter_without_vision_layers_is_refused_unless_meant(base: Path, adapter: Path, tmp_path: Path) -> None:
    language = without_vision(adapter, tmp_path / "language", in_file_too=True)
    with pytest.raises(CheckpointError, match="--language-only"):
        merge(base, language, tmp_path / "merged")


def probed(base: Path, layers: Mapping[str, Any]) -> dict[str, LayerProbe]:
    """What the merge of these layers is to be."""
    plain, adapted = StoredWeights(stored_tensors(base)), StoredWeights(stored_tensors(base), layers)
    pairs = {name: (plain[f"{name}.weight"], adapted[f"{name}.weight"]) for name in layers}
    return {name: LayerProbe(*(each.flatten(1) @ probe(each) for each in pair)) for name, pair in pairs.items()}


def test_a_merge_that_lost_the_vision_layers_is_refused_by_name(base: Path, adapter: Path) -> None:
    layers = adapted_layers(without_base(base, adapter))
    language = {name: layer for name, layer in layers.items() if "language_model" in name}
    with pytest.raises(CheckpointError, match=r"lost the adapter in .*model\.visual"):
        check_layers(StoredWeights(stored_tensors(base), language), probed(base, layers))


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


def in_shards(base: Path, out: Path, count: int) -> Path:
    """The base with its weights spread over so many files, as on the hub."""
    shutil.copytree(base, out)
    weights = load_file(out / "model.safetensors")
    (out / "model.safetensors").unlink()
    names = sorted(weights)
    files = {name: f"model-{names.index(name) % count + 1:05}-of-{count:05}.safetensors" for name in names}
    for file in set(files.values()):
        save_file({name: weights[name] for name in names if files[name] == file}, out / file)
    write_index(out, files, sum(value.nbytes for value in weights.values()))
    return out


def test_a_merge_in_shards_is_that_of_one_model_in_memory(base: Path, adapter: Path, tmp_path: Path) -> None:
    merge(in_shards(base, tmp_path / "sharded", 3), adapter, tmp_path / "merged")
    whole = with_adapter(load_base(base, torch.float32), adapter).merge_and_unload()
    ours = load_base(tmp_path / "merged", torch.float32)
    assert all(torch.equal(value, ours.get_parameter(name)) for name, value in whole.named_parameters())


def test_a_base_that_is_stored_in_bfloat16_is_merged_and_proven(base: Path, adapter: Path, tmp_path: Path) -> None:
    half = Path(shutil.copytree(base, tmp_path / "half"))
    config = json.loads((half / "config.json").read_text())
    for section in (config, config["text_config"], config["vision_config"]):
        section["dtype"] = "bfloat16"
    (half / "config.json").write_text(json.dumps(config))
    weights = load_file(half / "model.safetensors")
    save_file({name: value.bfloat16() for name, value in weights.items()}, half / "model.safetensors")
    proof = merge(half, adapter, tmp_path / "merged")
    stored = load_file(tmp_path / "merged" / "model.safetensors")
    assert ({value.dtype for value in stored.values()}, 0 < proof.worst_output < proof.tolerance) == (
        {torch.bfloat16},
        True,
    )


def test_a_shard_that_is_cut_off_is_refused_before_anything_is_written(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    sharded = in_shards(base, tmp_path / "sharded", 3)
    shard = sharded / "model-00002-of-00003.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"model-00002-of-00003\.safetensors has .* fetch it again"):
        merge(sharded, adapter, tmp_path / "merged")


def test_an_adapter_that_is_more_than_lora_is_refused_by_its_key(base: Path, adapter: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(adapter, tmp_path / "dora"))
    config = json.loads((changed / "adapter_config.json").read_text())
    (changed / "adapter_config.json").write_text(json.dumps(config | {"use_dora": True}))
    with pytest.raises(CheckpointError, match="sets use_dora; only plain LoRA"):
        merge(base, changed, tmp_path / "merged")


@pytest.mark.parametrize(
    ("room", "said"),
    [("available_memory_bytes", "GB of memory and 0.0 GB are available"), ("free_disk_bytes", "GB of disk and 0.0 GB")],
)
def test_too_little_room_is_refused_beforehand(
    room: str, said: str, base: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, room, lambda *where: 1)
    with pytest.raises(CheckpointError, match=said):
        merge(base, adapter, tmp_path / "merged")


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Base, adapter and merge of twelve random layers in bfloat16, over which rounding adds up without a bound."""
    tokenizer, directory = NANO / "tokenizer.json", tmp_path_factory.mktemp("deep")
    ids = {each.content: id for id, each in Tokenizer.from_file(str(tokenizer)).get_added_tokens_decoder().items()}
    shape = miniature_shape(tokenizer, ids)
    shape = replace(shape, config={**shape.config, "num_hidden_layers": 12})
    write_base(shape, directory / "base", lambda line: None)
    write_adapter(shape, directory / "adapter")
    merge(directory / "base", directory / "adapter", directory / "merged")
    return directory


def planted(deep: Path, out: Path, layer: str, times: float) -> Mapping[str, StoredTensor]:
    """The merged files, with the adapter in one layer so many times."""
    layers = adapted_layers(without_base(deep / "base", deep / "adapter"))
    before, after = (StoredWeights(stored_tensors(deep / "base"), each)[f"{layer}.weight"] for each in ({}, layers))
    shutil.copytree(deep / "merged", out)
    tensor = StoredWeights(stored_tensors(out)).stored(f"{layer}.weight")
    changed = (before + times * (after - before)).bfloat16()
    save_file({**load_file(tensor.file), tensor.name: changed}, tensor.file)
    return stored_tensors(out)


@pytest.mark.parametrize("times", [0.0, 2.0])
@pytest.mark.parametrize("layer", ["model.language_model.layers.7.mlp.up_proj", "model.visual.blocks.1.attn.proj"])
def test_an_adapter_left_out_of_one_layer_or_added_twice_is_refused_at_any_depth(
    deep: Path, tmp_path: Path, layer: str, times: float
) -> None:
    layers = adapted_layers(without_base(deep / "base", deep / "adapter"))
    wrong = StoredWeights(planted(deep, tmp_path / "wrong", layer, times))
    with pytest.raises(CheckpointError, match=f"in 1 of {len(layers)} layers, among them {layer}"):
        check_layers(wrong, probed(deep / "base", layers))


def test_a_layer_that_says_something_else_of_a_picture_is_refused_alone(deep: Path, tmp_path: Path) -> None:
    layer = "model.language_model.layers.7.mlp.up_proj"
    layers = adapted_layers(without_base(deep / "base", deep / "adapter"))
    wrong = planted(deep, tmp_path / "wrong", layer, 0.0)
    with pytest.raises(CheckpointError, match=rf"1 of {len(layers)} merged layers say something else .* first {layer}"):
        compare_outputs(deep / "base", stored_tensors(deep / "base"), layers, wrong)


def test_a_weight_without_an_adapter_that_has_changed_is_refused_by_name(deep: Path, tmp_path: Path) -> None:
    layers = adapted_layers(without_base(deep / "base", deep / "adapter"))
    shutil.copytree(deep / "merged", tmp_path / "wrong")
    tensor = stored_tensors(tmp_path / "wrong")["lm_head.weight"]
    content = bytearray(tensor.file.read_bytes())
    content[tensor.offset_bytes + tensor.size_bytes - 1] ^= 1
    tensor.file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"the merge changed lm_head\.weight"):
        check_copies(stored_tensors(deep / "base"), stored_tensors(tmp_path / "wrong"), layers)
