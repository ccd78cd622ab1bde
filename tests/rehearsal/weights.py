"""Random weights of a true shape, written as on the hub: shards, index, tokeniser, and an adapter of RealQA's kind."""

import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.weight_shapes import layer_name, weight_shapes
from assay.weights import StoredTensor
from training.recipe.weight_files import write_index, write_tensors

SHARDS = 5
"""As many as Qwen/Qwen2-VL-7B-Instruct has."""
_BFLOAT16_BYTES = 2
_PIECE = 1 << 22
"""Numbers that are drawn at once."""
_RANDOM_DEVIATION = 0.02
PREPROCESSOR = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "min_pixels": 3136,
    "max_pixels": 12845056,
}


@dataclass(frozen=True, slots=True)
class RehearsalShape:
    """What is written."""

    config: Mapping[str, Any]
    """config.json."""
    tokenizer: Path
    rank: int
    """Of the adapter."""


def true_shape(tokenizer: Path, text_layers: int, vision_layers: int) -> RehearsalShape:
    """Qwen2-VL-7B-Instruct's config.json, with 28 and 32 layers or fewer; RealQA's adapter has rank 128."""
    return RehearsalShape(
        {
            **_config(152_064, 3584, 18_944, 28, 4, text_layers, [16, 24, 24]),
            "vision_config": _vision(vision_layers, 1280, 16, 3584),
            **{"vision_start_token_id": 151_652, "vision_end_token_id": 151_653},
            **{"image_token_id": 151_655, "video_token_id": 151_656, "bos_token_id": 151_643, "eos_token_id": 151_645},
        },
        tokenizer,
        128,
    )


def miniature_shape(tokenizer: Path, ids: Mapping[str, int]) -> RehearsalShape:
    """The same files within a few megabytes; `ids` by the tokeniser's special tokens."""
    return RehearsalShape(
        {
            **_config(2056, 128, 256, 4, 2, 2, [4, 6, 6]),
            "vision_config": _vision(2, 64, 2, 128),
            **{"vision_start_token_id": ids["<|vision_start|>"], "vision_end_token_id": ids["<|vision_end|>"]},
            **{"image_token_id": ids["<|image_pad|>"], "video_token_id": ids["<|video_pad|>"]},
            **{"bos_token_id": ids["<|endoftext|>"], "eos_token_id": ids["<|im_end|>"]},
        },
        tokenizer,
        8,
    )


def write_base(shape: RehearsalShape, directory: Path, say: Callable[[str], None]) -> None:
    """Fills a new directory; no more than one tensor is in memory at a time."""
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(shape.config, indent=2))
    (directory / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    ends = {"eos_token_id": [shape.config["eos_token_id"]], "pad_token_id": shape.config["bos_token_id"]}
    (directory / "generation_config.json").write_text(json.dumps(ends))
    shutil.copy(shape.tokenizer, directory / "tokenizer.json")
    random, files, total = np.random.default_rng(0), dict[str, str](), 0
    for number, tensors in enumerate(_in_shards(shape.config), 1):
        file = f"model-{number:05}-of-{SHARDS:05}.safetensors"
        say(f"writing {file}")
        write_tensors(directory / file, tensors, lambda tensor: _drawn(tensor, random))
        files |= {tensor.name: file for tensor in tensors}
        total += sum(tensor.size_bytes for tensor in tensors)
    write_index(directory, files, total)


def write_adapter(shape: RehearsalShape, directory: Path) -> None:
    """LoRA on every linear layer but the output head, the tower's too, under the names of the released adapters."""
    directory.mkdir(parents=True)
    layers = {
        name.removesuffix(".weight"): sides
        for name, sides in weight_shapes(shape.config).items()
        if len(sides) == 2 and name not in ("lm_head.weight", "model.embed_tokens.weight")
    }
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": shape.rank,
        "lora_alpha": 2 * shape.rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted(layer_name(name) for name in layers),
    }
    (directory / "adapter_config.json").write_text(json.dumps(config))
    tensors = [
        _tensor(f"base_model.model.{name}.{half}.weight", sides)
        for name, (outputs, inputs) in layers.items()
        for half, sides in (("lora_A", (shape.rank, inputs)), ("lora_B", (outputs, shape.rank)))
    ]
    random = np.random.default_rng(1)
    write_tensors(directory / "adapter_model.safetensors", tensors, lambda tensor: _drawn(tensor, random))


def base_bytes(config: Mapping[str, Any]) -> int:
    """Of the weights in bfloat16."""
    return sum(math.prod(sides) for sides in weight_shapes(config).values()) * _BFLOAT16_BYTES


def _config(
    vocabulary: int, width: int, mlp_width: int, heads: int, kv_heads: int, layers: int, sections: Sequence[int]
) -> dict[str, Any]:
    return {
        "architectures": ["Qwen2VLForConditionalGeneration"],
        "model_type": "qwen2_vl",
        "torch_dtype": "bfloat16",
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": mlp_width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "hidden_act": "silu",
        "max_position_embeddings": 32_768,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1e6,
        "rope_scaling": {"type": "mrope", "mrope_section": list(sections)},
        "tie_word_embeddings": False,
        "use_sliding_window": False,
    }


def _vision(layers: int, width: int, heads: int, text_width: int) -> dict[str, Any]:
    return {
        "depth": layers,
        "embed_dim": width,
        "num_heads": heads,
        "hidden_size": text_width,
        "mlp_ratio": 4,
        "in_chans": 3,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }


def _in_shards(config: Mapping[str, Any]) -> Iterator[list[StoredTensor]]:
    """All weights in order, in SHARDS parts of about the same size."""
    tensors = [_tensor(name, sides) for name, sides in weight_shapes(config).items()]
    share = sum(tensor.size_bytes for tensor in tensors) / SHARDS
    parts: list[list[StoredTensor]] = [[] for _ in range(SHARDS)]
    before = 0
    for tensor in tensors:
        parts[min(SHARDS - 1, int((before + tensor.size_bytes / 2) / share))].append(tensor)
        before += tensor.size_bytes
    yield from parts


def _tensor(name: str, sides: Sequence[int]) -> StoredTensor:
    return StoredTensor(name, "BF16", tuple(sides), Path(), 0, math.prod(sides) * _BFLOAT16_BYTES)


def _drawn(tensor: StoredTensor, random: np.random.Generator) -> NDArray[np.uint8]:
    """Normal, around 1 for the scale of a norm and around 0 for all else; the upper halves of float32 are bfloat16."""
    is_scale = "norm" in tensor.name or "ln_q" in tensor.name
    center = 1.0 if is_scale and tensor.name.endswith(".weight") else 0.0
    values = np.empty(tensor.parameters, np.uint16)
    for start in range(0, tensor.parameters, _PIECE):
        piece = random.standard_normal(min(_PIECE, tensor.parameters - start), np.float32)
        drawn = (piece * np.float32(_RANDOM_DEVIATION) + np.float32(center)).view(np.uint32)
        values[start : start + len(piece)] = drawn >> 16
    return values.view(np.uint8)
