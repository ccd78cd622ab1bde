"""Proof of a merge, on the files as written, with one layer in memory at a time.

Every weight without an adapter is the base's, byte by byte. Every adapted layer's weight is base + adapter (by a random
probe), and it answers a picture and a question as base and adapter do. Each layer is given the input that it has with
base + adapter: what rounding to bfloat16 moves does not add up over the layers behind it, for which there would be no
bound where weights are random.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.hooks import attach_align_device_hook
from numpy.typing import NDArray
from torch import Tensor

from assay.errors import CheckpointError
from assay.frame import Clip, Frame
from assay.generator import Conversation
from assay.qwen2_vl.patches import PatchLayout
from assay.qwen2_vl.prompt_tokens import prompt_tokens
from assay.qwen2_vl.tokenizer import TextTokenizer
from assay.weight_shapes import file_name
from assay.weights import StoredTensor
from training.recipe.base import empty_base

_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_MAX_EPSILONS = 4.0
"""Greatest error of a layer, in the resolution of its stored numbers; rounding makes about a quarter of one."""
_PIECE_BYTES = 1 << 26
_MIN_SHARE = 0.5
"""Of what an adapter adds to a layer, this much must be there, and no more than as much again too much."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What was measured on the merged files."""

    layers: int
    vision_layers: int
    worst_layer: float
    """Greatest error of an adapted layer's probe, as a share of the probe."""
    worst_output: float
    """Greatest error of what an adapted layer answers, as a share of it; each has the same input twice."""
    adapter_moves: float
    """Greatest share of an adapted layer's probe that is the adapter's: what the adapter does at all."""
    tolerance: float
    """Of both errors."""


@dataclass(frozen=True, slots=True)
class LayerProbe:
    """A layer's weight times a fixed random vector: (outputs,) float32."""

    base: Tensor
    wanted: Tensor
    """Of base + adapter."""

    @property
    def adapter_share(self) -> float:
        return _error(self.base, self.wanted)

    def merged_share(self, values: Tensor) -> float:
        """How much of what the adapter adds is in the merged layer: 0 if it was left out, 2 if it was added twice."""
        adapter = self.wanted - self.base
        return float((values - self.base) @ adapter / (adapter @ adapter))


class StoredWeights(Mapping[str, Tensor]):
    """StoredWeights in files, read one at a time into float32, by the names of transformers' model.

    With `layers` (name -> LoRA layer) each has its adapter added.
    """

    def __init__(self, stored: Mapping[str, StoredTensor], layers: Mapping[str, Any] | None = None) -> None:
        self._stored = {file_name(name): tensor for name, tensor in stored.items()}
        self._layers = layers or {}

    @torch.no_grad()
    def __getitem__(self, name: str) -> Tensor:
        weight = as_float(self.stored(name))
        layer = self._layers.get(name.removesuffix(".weight"))
        return weight if layer is None else weight.add_(layer.get_delta_weight("default").float())

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)

    def stored(self, name: str) -> StoredTensor:
        """Where the weight is; tied output embeddings are the input's. CheckpointError if it is nowhere."""
        known = file_name(name)
        if known == "lm_head.weight" and known not in self._stored:
            known = "model.embed_tokens.weight"
        try:
            return self._stored[known]
        except KeyError:
            raise CheckpointError(f"the weights lack {known}") from None


def dtype_of(tensor: StoredTensor) -> torch.dtype:
    """CheckpointError if it is none that a Qwen2-VL is stored in."""
    try:
        return _DTYPES[tensor.dtype]
    except KeyError:
        known = ", ".join(_DTYPES)
        raise CheckpointError(
            f"{tensor.file.name}: {tensor.name} is {tensor.dtype}; weights are merged as {known}"
        ) from None


def as_float(tensor: StoredTensor) -> Tensor:
    """Its values in float32."""
    return torch.from_numpy(tensor.read()).view(dtype_of(tensor)).reshape(tensor.shape).float()


def probe(weight: Tensor) -> Tensor:
    """A fixed random vector with as many numbers as the layer has inputs."""
    inputs = weight.flatten(1).shape[1]
    return torch.randn(inputs, generator=torch.Generator().manual_seed(inputs)).to(weight.device)


def check_copies(
    stored: Mapping[str, StoredTensor], merged: Mapping[str, StoredTensor], layers: Mapping[str, Any]
) -> None:
    """CheckpointError names a weight without an adapter that is not the base's."""
    adapted = {file_name(f"{name}.weight") for name in layers}
    for name, tensor in stored.items():
        if file_name(name) not in adapted and not _are_equal(tensor.mapped(), merged[name].mapped()):
            raise CheckpointError(f"the merge changed {name}, which has no adapter; it is not used")


def _are_equal(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    starts = range(0, max(len(one), len(other)), _PIECE_BYTES)
    return all(np.array_equal(one[at : at + _PIECE_BYTES], other[at : at + _PIECE_BYTES]) for at in starts)


@torch.no_grad()
def check_layers(merged: StoredWeights, probes: Mapping[str, LayerProbe]) -> float:
    """The greatest relative error of a probe.

    CheckpointError names layers whose weight is not base + adapter.
    """
    errors, lost = {}, []
    for name, each in probes.items():
        weight = merged[f"{name}.weight"]
        values, epsilon = weight.flatten(1) @ probe(weight), _epsilon(merged.stored(f"{name}.weight"))
        errors[name] = _error(values, each.wanted)
        # What is less than the resolution may be rounded away.
        is_there = each.adapter_share < epsilon / 2 or abs(each.merged_share(values) - 1) <= _MIN_SHARE
        if not (errors[name] <= _MAX_EPSILONS * epsilon and is_there):
            lost.append(name)
    if lost:
        shown = ", ".join(sorted(lost, key=lambda name: "visual" not in name)[:4])
        raise CheckpointError(f"the merge lost the adapter in {len(lost)} of {len(errors)} layers, among them {shown}")
    return max(errors.values())


def compare_outputs(
    base: Path, stored: Mapping[str, StoredTensor], layers: Mapping[str, Any], merged: Mapping[str, StoredTensor]
) -> float:
    """The greatest relative error of an adapted layer's output, merged against base + adapter.

    CheckpointError names the layers in which it is more than rounding.
    """
    errors, weights, model = dict[str, float](), StoredWeights(merged), empty_base(base)
    for name in layers:
        _compare(name, model.get_submodule(name), weights, errors)
    _run(model, base, StoredWeights(stored, layers))
    bounds = {name: _MAX_EPSILONS * _epsilon(weights.stored(f"{name}.weight")) for name in errors}
    if wrong := [name for name, error in errors.items() if not error <= bounds[name]]:
        raise CheckpointError(
            f"of a picture and a question {len(wrong)} of {len(errors)} merged layers say something else than base and "
            f"adapter, first {wrong[0]} (by {errors[wrong[0]]:.2g} of it, more than {bounds[wrong[0]]:.2g}); the merge "
            "is not used"
        )
    return max(errors.values())


def tolerance(merged: Mapping[str, StoredTensor]) -> float:
    """Greatest error of any layer."""
    return _MAX_EPSILONS * max(map(_epsilon, merged.values()))


def _compare(name: str, module: Any, merged: StoredWeights, errors: dict[str, float]) -> None:
    """Has the module run a second time, with its merged weights, and notes how far that is from the first."""
    forward, keys = module.forward, [key for key, _ in module.named_parameters(recurse=False)]

    def both(*inputs: Any, **named: Any) -> Any:
        output = forward(*inputs, **named)
        for key in keys:
            setattr(module, key, torch.nn.Parameter(merged[f"{name}.{key}"].to(output.device), requires_grad=False))
        errors[name] = _error(forward(*inputs, **named), output)
        return output

    module.forward = both


class _StoredRows(torch.nn.Module):
    """Embeddings of tokens out of a file, so that no whole table is in memory."""

    def __init__(self, table: StoredTensor) -> None:
        super().__init__()
        self._table = table

    def forward(self, ids: Tensor) -> Tensor:
        """(…) token ids -> (…, width) float32."""
        rows = self._table.mapped().reshape(self._table.shape[0], -1)[ids.cpu().numpy()]
        return torch.from_numpy(rows).view(dtype_of(self._table)).float().to(ids.device)


@torch.no_grad()
def _run(model: Any, base: Path, weights: StoredWeights) -> None:
    """The model once, over a question about noise, but for its head: that has no adapter."""
    text = TextTokenizer.read(base / "tokenizer.json")
    layout = PatchLayout.from_config(json.loads((base / "preprocessor_config.json").read_text(encoding="utf-8")))
    noise = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    prompt = prompt_tokens(Clip((Frame(noise),), False), Conversation("How is the clarity?"), layout, text)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.eval()
    model.set_input_embeddings(_StoredRows(weights.stored("model.language_model.embed_tokens.weight")))
    attach_align_device_hook(model, execution_device=device, offload=True, weights_map=weights)
    ids = torch.tensor([prompt.ids], device=device)
    model.model(
        input_ids=ids,
        mm_token_type_ids=(ids == text.special.image_pad).int(),
        pixel_values=torch.from_numpy(prompt.clip.pixel_values).to(device),
        image_grid_thw=torch.tensor([prompt.clip.grid_thw], device=device),
    )


def _epsilon(tensor: StoredTensor) -> float:
    return torch.finfo(dtype_of(tensor)).eps


def _error(values: Tensor, wanted: Tensor) -> float:
    return float((values - wanted).norm() / wanted.norm().clamp(min=1e-12))
