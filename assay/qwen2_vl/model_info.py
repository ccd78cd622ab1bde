"""ModelInfo: what decoding has to know of a checkpoint, read from the files next to its weights."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.errors import CheckpointError
from assay.qwen2_vl.patches import PatchLayout
from assay.qwen2_vl.tokenizer import TextTokenizer
from assay.weights import check_config, check_files, fingerprint, read_json

_DEFAULTS: dict[str, Any] = {
    "image_token_id": 151_655,
    "video_token_id": 151_656,
    "vision_start_token_id": 151_652,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "spatial_merge_size": 2,
    "max_position_embeddings": 32_768,
}
"""What transformers takes where config.json does not say."""


@dataclass(frozen=True, eq=False)
class ModelInfo:
    """One checkpoint, without its weights."""

    text: TextTokenizer
    layout: PatchLayout
    fingerprint: str
    """First 16 hex digits of the SHA-256 over weights, tokeniser and configuration."""
    max_tokens: int
    """Prompt and answer together may be this long (max_position_embeddings)."""
    ends: frozenset[int]
    """Tokens with which the model ends its turn."""


def read_model_info(directory: Path) -> ModelInfo:
    """Read and check everything but the weights; CheckpointError names the file or key at fault."""
    check_files(directory)
    config = read_json(directory / "config.json")
    check_config(config)
    text = TextTokenizer.read(directory / "tokenizer.json")
    layout = PatchLayout.from_config(read_json(directory / "preprocessor_config.json"))
    _check_agreement(config, text, layout)
    return ModelInfo(
        text=text,
        layout=layout,
        fingerprint=fingerprint(directory),
        max_tokens=int((_DEFAULTS | text_config(config))["max_position_embeddings"]),
        ends=frozenset({text.special.im_end, *_ends(directory, config)}),
    )


def text_config(config: dict[str, Any]) -> dict[str, Any]:
    """The language model's part of config.json: by itself, or, as older checkpoints have it, among the rest."""
    part: dict[str, Any] = config.get("text_config") or config
    return part


def _check_agreement(config: dict[str, Any], text: TextTokenizer, layout: PatchLayout) -> None:
    """Configuration, tokeniser and preprocessor each say some things twice; they must say the same."""
    said = _DEFAULTS | config | (config.get("vision_config") or {})
    elsewhere_said = {
        "image_token_id": text.special.image_pad,
        "video_token_id": text.special.video_pad,
        "vision_start_token_id": text.special.vision_start,
        "patch_size": layout.patch_size,
        "temporal_patch_size": layout.temporal_patch_size,
        "spatial_merge_size": layout.merge_size,
    }
    for name, elsewhere in elsewhere_said.items():
        if (in_config := said[name]) != elsewhere:
            raise CheckpointError(f"config.json says {name} = {in_config}, tokeniser or preprocessor {elsewhere}")


def _ends(directory: Path, config: dict[str, Any]) -> Iterator[int]:
    generation = directory / "generation_config.json"
    for said in (config, text_config(config), read_json(generation) if generation.exists() else {}):
        ids = said.get("eos_token_id")
        yield from [ids] if isinstance(ids, int) else ids or []
