"""The true shape of Qwen2-VL-7B with random weights: how much memory a step takes, and the step where a GPU is."""

import time
from dataclasses import dataclass
from typing import Any

import torch
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

from training.recipe.adapter import with_new_adapter
from training.recipe.settings import AdapterSettings

_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Shape:
    """Counts of weights, and the least memory of a step without its activations."""

    weights: int
    adapter_weights: int
    vision_adapter_weights: int
    lora_gib: float
    """Base in bfloat16; adapter, its gradients and AdamW's two moments in float32."""
    full_gib: float
    """The from-scratch control: weights, gradients and two moments in float32."""


def config_7b() -> Qwen2VLConfig:
    """config.json of Qwen/Qwen2-VL-7B-Instruct."""
    return Qwen2VLConfig(
        text_config={
            "vocab_size": 152_064, "hidden_size": 3584, "intermediate_size": 18_944, "num_hidden_layers": 28,
            "num_attention_heads": 28, "num_key_value_heads": 4, "max_position_embeddings": 32_768,
            "rms_norm_eps": 1e-6, "tie_word_embeddings": False,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
        },
        vision_config={
            "depth": 32, "embed_dim": 1280, "hidden_size": 3584, "num_heads": 16, "mlp_ratio": 4, "patch_size": 14,
        },
        image_token_id=151_655, video_token_id=151_656, vision_start_token_id=151_652, vision_end_token_id=151_653,
        tie_word_embeddings=False,
    )  # fmt: skip


def shape(chosen: AdapterSettings) -> Shape:
    """Counted on the meta device: nothing is allocated."""
    with torch.device("meta"):
        model: Any = Qwen2VLForConditionalGeneration(config_7b())
        weights = sum(values.numel() for values in model.parameters())
        adapted = with_new_adapter(model, chosen)
    lora = {name: values.numel() for name, values in adapted.named_parameters() if values.requires_grad}
    total = sum(lora.values())
    vision = sum(count for name, count in lora.items() if ".visual." in name)
    return Shape(weights, total, vision, (2 * weights + 16 * total) / _GIB, 16 * weights / _GIB)


def step(
    chosen: AdapterSettings,
    batch: int,
    tokens: int,
    patches_side: int = 44,
    device: str = "cuda",
    config: Qwen2VLConfig | None = None,
) -> tuple[float, float]:
    """One optimiser step with random weights, of the true shape unless another is given: (seconds, GiB at most).

    GiB are counted on a GPU only. RuntimeError where there is none and one is asked for.
    """
    on_gpu = device.startswith("cuda")
    if on_gpu and not torch.cuda.is_available():
        raise RuntimeError("no CUDA device: the step of the true shape needs one; the counts do not")
    adapted = _adapted(config or config_7b(), chosen, device)
    trained = [values for values in adapted.parameters() if values.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-4)
    inputs = _noise(adapted.config, batch, tokens, patches_side, device)
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    began = time.monotonic()
    with torch.autocast(torch.device(device).type, torch.bfloat16):
        logits = adapted(**inputs).logits
        targets = inputs["input_ids"][:, 1:].flatten()
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1).float(), targets)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    if on_gpu:
        torch.cuda.synchronize()
    return time.monotonic() - began, torch.cuda.max_memory_allocated() / _GIB if on_gpu else 0.0


def _adapted(config: Qwen2VLConfig, chosen: AdapterSettings, device: str) -> Any:
    """Random weights in bfloat16 with a fresh adapter, activations computed again in the backward pass."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            model: Any = Qwen2VLForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(torch.float32)
    adapted: Any = with_new_adapter(model, chosen)
    adapted.enable_input_require_grads()
    adapted.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    adapted.train()
    return adapted


def _noise(config: Any, batch: int, tokens: int, patches_side: int, device: str) -> dict[str, Any]:
    """Rows of one picture of patches_side x patches_side patches and text, `tokens` in all; merged two by two."""
    image_tokens, pad = (patches_side // 2) ** 2, config.image_token_id
    ids = torch.randint(0, 100, (batch, tokens), device=device)
    ids[:, 1 : 1 + image_tokens] = pad
    return {
        "input_ids": ids,
        "mm_token_type_ids": (ids == pad).int(),
        "pixel_values": torch.randn(batch * patches_side**2, 1176, device=device, dtype=torch.bfloat16),
        "image_grid_thw": torch.tensor([[1, patches_side, patches_side]] * batch, device=device),
    }
