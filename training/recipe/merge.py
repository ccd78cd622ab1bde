"""Merge: base + adapter -> a checkpoint that assay.engine loads, proven before it gets its name.

Three proofs, all on the files as written: every adapted layer's weight is base + adapter (by a random probe, so that
two models need not be held at once); logits on a text; logits on a picture.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from safetensors import safe_open
from torch import Tensor, nn

from assay.engine.patches import PatchLayout
from assay.engine.prompt_tokens import prompt_tokens
from assay.engine.text_tokens import TextTokens
from assay.errors import CheckpointError
from assay.frame import Clip, Frame
from assay.generator import Conversation
from training.recipe.adapter import VISION, with_adapter
from training.recipe.base import load_base

_ROUNDING = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 6e-2}
"""Greatest difference of logits allowed, in standard deviations of the logits, by how weights are stored."""
_CARRIED = ("*.json", "*.jinja", "merges.txt", "assay.toml")
_PROOF = "merge.json"


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


def merge(base: Path, adapter: Path, out: Path, forms: Path | None = None, language_only: bool = False) -> Proof:
    """Writes `out`, which must not exist. forms: an assay.toml, if the base brings none.

    CheckpointError names adapter weights that found no home, an adapter without vision layers (unless
    `language_only`), layers that the merge lost, or logits that differ.
    """
    if out.exists():
        raise CheckpointError(f"{out} exists; merge into a new directory")
    dtype = stored_dtype(base)
    plain = load_base(base, torch.float32)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    plain.to(device)  # type: ignore[arg-type]
    before = _logits(plain, base)
    adapted = with_adapter(plain, adapter)
    layers = adapted_layers(adapted)
    if not language_only and not any(VISION in name for name in layers):
        raise CheckpointError(f"{adapter}: no layer of the vision tower (visual.*) is adapted; if that is meant, say "
                              "--language-only")  # fmt: skip
    wanted = probes(layers)
    with_it = _logits(adapted, base)
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    _write(adapted, base, part, dtype, forms)
    del adapted, plain
    merged = load_base(part, torch.float32).to(device)  # type: ignore[arg-type]
    worst = check_layers(merged, wanted, dtype)
    after = _logits(merged, base)
    proof = Proof(
        layers=len(layers),
        vision_layers=sum(VISION in name for name in layers),
        worst_layer=worst,
        picture=_difference(with_it["picture"], after["picture"]),
        text=_difference(with_it["text"], after["text"]),
        adapter_moves_picture=_difference(before["picture"], with_it["picture"]),
        tolerance=_ROUNDING[dtype],
    )
    for name in ("picture", "text"):
        if not getattr(proof, name) <= proof.tolerance:
            raise CheckpointError(
                f"{part}: logits of a {name} differ by {getattr(proof, name):.2g} standard deviations between adapter "
                f"and merged weights, more than {proof.tolerance}; the merge is not used"
            )
    (part / _PROOF).write_text(json.dumps(asdict(proof), indent=2) + "\n", encoding="utf-8")
    for file in part.iterdir():
        # safetensors writes for its owner alone, and a server is somebody else.
        file.chmod(0o644)
    part.rename(out)
    return proof


def adapted_layers(model: PeftModel) -> dict[str, Any]:
    """Name in the base model -> LoRA layer."""
    prefix = "base_model.model."
    named = model.named_modules()
    return {name.removeprefix(prefix): layer for name, layer in named if hasattr(layer, "lora_A")}


@torch.no_grad()
def probes(layers: Mapping[str, Any]) -> dict[str, Tensor]:
    """(W + adapter) r for a fixed random r, a layer each, (outputs,) float32."""
    wanted = {}
    for name, layer in layers.items():
        weight = layer.get_base_layer().weight.float() + layer.get_delta_weight("default").float()
        wanted[name] = weight.flatten(1) @ _probe(weight)
    return wanted


@torch.no_grad()
def check_layers(merged: nn.Module, wanted: Mapping[str, Tensor], dtype: torch.dtype) -> float:
    """The greatest relative error of a probe. CheckpointError names layers whose weight is not base + adapter."""
    weights = dict(merged.named_parameters())
    errors = {}
    for name, values in wanted.items():
        weight = weights[f"{name}.weight"].float()
        errors[name] = float((weight.flatten(1) @ _probe(weight) - values).norm() / values.norm().clamp(min=1e-12))
    limit = 4 * torch.finfo(dtype).eps
    lost = sorted((name for name, error in errors.items() if not error <= limit), key=lambda name: "visual" not in name)
    if lost:
        raise CheckpointError(
            f"the merge lost the adapter in {len(lost)} of {len(errors)} layers, among them {', '.join(lost[:4])}"
        )
    return max(errors.values())


def _probe(weight: Tensor) -> Tensor:
    inputs = weight.flatten(1).shape[1]
    return torch.randn(inputs, generator=torch.Generator().manual_seed(inputs)).to(weight.device)


def _write(adapted: PeftModel, base: Path, part: Path, dtype: torch.dtype, forms: Path | None) -> None:
    merged: Any = adapted.merge_and_unload(safe_merge=True)
    merged.to(dtype).save_pretrained(part)
    said = json.loads((part / "config.json").read_text(encoding="utf-8"))
    for pattern in _CARRIED:
        for file in base.glob(pattern):
            # config.json too: its dtype says how the weights are to be computed, which merging does not change.
            if not file.name.endswith(".index.json"):
                shutil.copyfile(file, part / file.name)
    if "auto_map" in said:
        raise CheckpointError(f"{base}/config.json asks for code (auto_map), which is never run")
    if forms is not None:
        shutil.copyfile(forms, part / "assay.toml")


def stored_dtype(base: Path) -> torch.dtype:
    """How the base's weights are stored: that of its largest tensor."""
    with safe_open(sorted(base.glob("*.safetensors"))[0], framework="pt") as file:
        dtypes = [file.get_slice(name).get_dtype() for name in file.keys()]  # noqa: SIM118 (it is no dict)
    return {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[max(set(dtypes), key=dtypes.count)]


@torch.no_grad()
def _logits(model: nn.Module, base: Path) -> dict[str, Tensor]:
    """Of a sentence ("text") and of a question about noise ("picture"): (tokens, vocabulary) float32, on the CPU."""
    text = TextTokens.read(base / "tokenizer.json")
    layout = PatchLayout.from_config(json.loads((base / "preprocessor_config.json").read_text(encoding="utf-8")))
    noise = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    prompt = prompt_tokens(Clip((Frame(noise),), False), Conversation("How is the clarity?"), layout, text)
    model.eval()
    device = next(model.parameters()).device
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
