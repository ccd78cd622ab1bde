"""Qwen2-VL's architecture as numbers: the shape of every weight, from config.json alone. No torch.

Names are those of the files on the hub (`visual.blocks.0.…`, `model.layers.0.…`); later releases of transformers name
the same weights `model.visual.…` and `model.language_model.…`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from assay.errors import CheckpointError
from assay.weights import StoredTensor

Shape = tuple[int, ...]
_RENAMED = (("model.visual.", "visual."), ("model.language_model.", "model."))


@dataclass(frozen=True, slots=True)
class TextShape:
    """The language model."""

    layers: int
    width: int
    mlp_width: int
    heads: int
    kv_heads: int
    vocabulary: int
    max_tokens: int
    ties_embeddings: bool

    @property
    def head_width(self) -> int:
        return self.width // self.heads


@dataclass(frozen=True, slots=True)
class VisionShape:
    """The vision tower."""

    layers: int
    width: int
    mlp_width: int
    heads: int
    patch_px: int
    temporal_patch: int
    merge: int
    channels: int


def text_shape(config: Mapping[str, Any]) -> TextShape:
    """From config.json, whether the language model has a section of its own or not. CheckpointError names a key."""
    text = {**config, **config.get("text_config", {})}
    heads = _positive(text, "num_attention_heads")
    return TextShape(
        layers=_positive(text, "num_hidden_layers"),
        width=_positive(text, "hidden_size"),
        mlp_width=_positive(text, "intermediate_size"),
        heads=heads,
        kv_heads=_positive(text, "num_key_value_heads", heads),
        vocabulary=_positive(text, "vocab_size"),
        max_tokens=_positive(text, "max_position_embeddings", 32_768),
        ties_embeddings=bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings", False))),
    )


def vision_shape(config: Mapping[str, Any]) -> VisionShape:
    """From config.json. CheckpointError names a key."""
    vision = config.get("vision_config", {})
    width = _positive(vision, "embed_dim")
    return VisionShape(
        layers=_positive(vision, "depth"),
        width=width,
        mlp_width=int(width * vision.get("mlp_ratio", 4)),
        heads=_positive(vision, "num_heads"),
        patch_px=_positive(vision, "patch_size", 14),
        temporal_patch=_positive(vision, "temporal_patch_size", 2),
        merge=_positive(vision, "spatial_merge_size", 2),
        channels=_positive(vision, "in_channels", vision.get("in_chans", 3)),
    )


def weight_shapes(config: Mapping[str, Any]) -> dict[str, Shape]:
    """Name -> shape of every weight that a checkpoint of this configuration holds. CheckpointError names a key."""
    text, vision = text_shape(config), vision_shape(config)
    return dict([*_vision(vision, text.width), *_text(text)])


def file_name(name: str) -> str:
    """The name that the hub's files use for a weight, whichever release named it."""
    return next((old + name.removeprefix(new) for new, old in _RENAMED if name.startswith(new)), name)


def layer_name(name: str) -> str:
    """The name that transformers' model has for a weight or layer of the hub's files; the inverse of file_name()."""
    return next((new + name.removeprefix(old) for new, old in _RENAMED if name.startswith(old)), name)


def check_weights(config: Mapping[str, Any], stored: Mapping[str, StoredTensor]) -> None:
    """CheckpointError names weights that are missing, left over or of another shape than config.json says."""
    wanted = weight_shapes(config)
    found = {file_name(name): tensor.shape for name, tensor in stored.items()}
    if "lm_head.weight" not in wanted:
        found.pop("lm_head.weight", None)  # a copy of the embeddings, which some files hold
    shaped = [
        f"{name}: {list(found[name])} for {list(shape)}"
        for name, shape in wanted.items()
        if found.get(name, shape) != shape
    ]
    for what, names in (
        ("lacks", sorted(wanted.keys() - found.keys())),
        ("does not know", sorted(found.keys() - wanted.keys())),
        ("is of another shape than the weights:", shaped),
    ):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise CheckpointError(f"the model of config.json {what} {', '.join(names[:3])}{more}")


def _vision(vision: VisionShape, text_width: int) -> Iterator[tuple[str, Shape]]:
    width = vision.width
    yield (
        "visual.patch_embed.proj.weight",
        (width, vision.channels, vision.temporal_patch, vision.patch_px, vision.patch_px),
    )
    for layer in range(vision.layers):
        block = f"visual.blocks.{layer}"
        yield from _norm(f"{block}.norm1", width)
        yield from _norm(f"{block}.norm2", width)
        yield from _linear(f"{block}.attn.qkv", 3 * width, width)
        yield from _linear(f"{block}.attn.proj", width, width)
        yield from _linear(f"{block}.mlp.fc1", vision.mlp_width, width)
        yield from _linear(f"{block}.mlp.fc2", width, vision.mlp_width)
    merged = width * vision.merge**2
    yield from _norm("visual.merger.ln_q", width)
    yield from _linear("visual.merger.mlp.0", merged, merged)
    yield from _linear("visual.merger.mlp.2", text_width, merged)


def _text(text: TextShape) -> Iterator[tuple[str, Shape]]:
    width, kv_width = text.width, text.kv_heads * text.head_width
    yield "model.embed_tokens.weight", (text.vocabulary, width)
    for layer in range(text.layers):
        block = f"model.layers.{layer}"
        yield from _linear(f"{block}.self_attn.q_proj", width, width)
        yield from _linear(f"{block}.self_attn.k_proj", kv_width, width)
        yield from _linear(f"{block}.self_attn.v_proj", kv_width, width)
        yield f"{block}.self_attn.o_proj.weight", (width, width)
        yield f"{block}.mlp.gate_proj.weight", (text.mlp_width, width)
        yield f"{block}.mlp.up_proj.weight", (text.mlp_width, width)
        yield f"{block}.mlp.down_proj.weight", (width, text.mlp_width)
        yield f"{block}.input_layernorm.weight", (width,)
        yield f"{block}.post_attention_layernorm.weight", (width,)
    yield "model.norm.weight", (width,)
    if not text.ties_embeddings:
        yield "lm_head.weight", (text.vocabulary, width)


def _linear(name: str, outputs: int, inputs: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def _norm(name: str, width: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _positive(config: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = config.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise CheckpointError(f"config.json: {key} must be a whole number above 0, got {value!r}")
    return value
