"""Proof of a merge, on the files as written, with one layer in memory at a time.

Every adapted layer's weight is base + adapter (by a random probe); logits on a text; logits on a picture.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.hooks import attach_align_device_hook
from torch import Tensor

from assay.errors import CheckpointError
from assay.frame import Clip, Frame
from assay.generator import Conversation
from assay.qwen2_vl.patches import PatchLayout
from assay.qwen2_vl.prompt_tokens import prompt_tokens
from assay.qwen2_vl.tokenizer import TextTokenizer
from assay.weight_shapes import file_name
from assay.weights import StoredTensor
from training.recipe.adapter import VISION
from training.recipe.base import empty_base

_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_ROUNDING = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 6e-2}
"""Greatest difference of logits allowed, in standard deviations of the logits, by how weights are stored."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What was measured on the merged files."""

    layers: int
    vision_layers: int
    worst_layer: float
    """Greatest error of a layer's probe, as a share of the probe."""
    picture: float
    """Greatest difference of logits, adapter against merged, in standard deviations of the logits."""
    text: float
    adapter_moves_picture: float
    """The same between base and adapter: what the adapter does at all."""
    tolerance: float


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


@torch.no_grad()
def check_layers(merged: StoredWeights, wanted: Mapping[str, Tensor]) -> float:
    """The greatest relative error of a probe, `wanted` by layer as (outputs,) float32.

    CheckpointError names layers whose weight is not base + adapter.
    """
    errors, lost = {}, []
    for name, values in wanted.items():
        weight = merged[f"{name}.weight"]
        errors[name] = float((weight.flatten(1) @ probe(weight) - values).norm() / values.norm().clamp(min=1e-12))
        if not errors[name] <= 4 * torch.finfo(dtype_of(merged.stored(f"{name}.weight"))).eps:
            lost.append(name)
    if lost:
        shown = ", ".join(sorted(lost, key=lambda name: "visual" not in name)[:4])
        raise CheckpointError(f"the merge lost the adapter in {len(lost)} of {len(errors)} layers, among them {shown}")
    return max(errors.values())


def compare_logits(
    base: Path,
    stored: Mapping[str, StoredTensor],
    layers: Mapping[str, Any],
    merged: Mapping[str, StoredTensor],
    worst_layer: float,
    say: Callable[[str], None],
) -> Proof:
    """Runs base, base + adapter and merged, layer by layer. CheckpointError if the last two differ."""
    tolerance = max(_ROUNDING[dtype_of(tensor)] for tensor in merged.values())
    logits = {}
    for name, weights in (
        ("base", StoredWeights(stored)),
        ("base + adapter", StoredWeights(stored, layers)),
        ("merged", StoredWeights(merged)),
    ):
        say(f"proving: logits of {name}")
        logits[name] = _logits(base, weights)
    before, with_it, after = logits.values()
    proof = Proof(
        layers=len(layers),
        vision_layers=sum(VISION in name for name in layers),
        worst_layer=worst_layer,
        picture=_difference(with_it["picture"], after["picture"]),
        text=_difference(with_it["text"], after["text"]),
        adapter_moves_picture=_difference(before["picture"], with_it["picture"]),
        tolerance=tolerance,
    )
    for name in ("picture", "text"):
        if not getattr(proof, name) <= tolerance:
            raise CheckpointError(
                f"logits of a {name} differ by {getattr(proof, name):.2g} standard deviations between adapter "
                f"and merged weights, more than {tolerance}; the merge is not used"
            )
    return proof


@torch.no_grad()
def _logits(base: Path, weights: StoredWeights) -> dict[str, Tensor]:
    """Of a sentence ("text") and of a question about noise ("picture"): (tokens, vocabulary) float32, on the CPU."""
    text = TextTokenizer.read(base / "tokenizer.json")
    layout = PatchLayout.from_config(json.loads((base / "preprocessor_config.json").read_text(encoding="utf-8")))
    noise = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    prompt = prompt_tokens(Clip((Frame(noise),), False), Conversation("How is the clarity?"), layout, text)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model: Any = empty_base(base)
    model.eval()
    attach_align_device_hook(model, execution_device=device, offload=True, weights_map=weights)
    ids = torch.tensor([prompt.ids], device=device)
    sentence = torch.tensor([text.encode("The composition is well-thought-out, and it is very clear.")], device=device)
    of_picture = model(
        input_ids=ids,
        mm_token_type_ids=(ids == text.special.image_pad).int(),
        pixel_values=torch.from_numpy(prompt.clip.pixel_values).to(device),
        image_grid_thw=torch.tensor([prompt.clip.grid_thw], device=device),
    )
    return {"picture": of_picture.logits[0].float().cpu(), "text": model(input_ids=sentence).logits[0].float().cpu()}


def _difference(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / one.std())
