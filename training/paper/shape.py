"""The true shape of Qwen2-VL-7B with random weights: how much memory a step takes, and the step where a GPU is."""

import time
from dataclasses import dataclass
from typing import Any

import torch
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

from training.paper.adapter import with_new_adapter
from training.paper.settings import AdapterSettings

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


def step(chosen: AdapterSettings, batch: int, tokens: int, patches_side: int = 44) -> tuple[float, float]:
    """One optimiser step on a GPU: (seconds, GiB at most). RuntimeError where there is none."""
    if not torch.cuda.is_available():
        raise RuntimeError("no CUDA device: the step of the true shape needs one; the counts do not")
    torch.manual_seed(0)
    with torch.device("cuda"):
        torch.set_default_dtype(torch.bfloat16)
        try:
            model: Any = Qwen2VLForConditionalGeneration(config_7b())
        finally:
            torch.set_default_dtype(torch.float32)
    adapted: Any = with_new_adapter(model, chosen)
    adapted.enable_input_require_grads()
    adapted.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    trained = [values for values in adapted.parameters() if values.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-4)
    ids = torch.randint(0, 1000, (batch, tokens), device="cuda")
    seen = (patches_side // 2) ** 2
    ids[:, 1 : 1 + seen] = model.config.image_token_id
    grid = torch.tensor([[1, patches_side, patches_side]] * batch, device="cuda")
    pixels = torch.randn(batch * patches_side**2, 1176, device="cuda", dtype=torch.bfloat16)
    torch.cuda.reset_peak_memory_stats()
    began = time.monotonic()
    with torch.autocast("cuda", torch.bfloat16):
        types = (ids == model.config.image_token_id).int()
        logits = adapted(input_ids=ids, mm_token_type_ids=types, pixel_values=pixels, image_grid_thw=grid).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1).float(), ids[:, 1:].flatten())
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    torch.cuda.synchronize()
    return time.monotonic() - began, torch.cuda.max_memory_allocated() / _GIB
