"""Checkpoint: a directory with a Qwen2-VL in it, checked before anything is served from it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import Qwen2VLForConditionalGeneration
from transformers.utils import logging as transformers_logging

from assay.errors import CheckpointError
from assay.qwen2_vl.patches import PatchLayout
from assay.qwen2_vl.tokenizer import TextTokens
from assay.weights import check_config, check_files, fingerprint, read_json


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """What one directory holds, loaded."""

    model: Qwen2VLForConditionalGeneration
    text: TextTokens
    layout: PatchLayout
    fingerprint: str
    """First 16 hex digits of the SHA-256 over weights, tokeniser and configuration."""
    max_tokens: int
    """Prompt and answer together may be this long (max_position_embeddings)."""
    ends: frozenset[int]
    """Tokens with which the model ends its turn."""


def load_checkpoint(directory: Path, device: str) -> Checkpoint:
    """Read and check a checkpoint; CheckpointError names the file, key or weight at fault."""
    check_files(directory)
    config = read_json(directory / "config.json")
    check_config(config)
    text = TextTokens.read(directory / "tokenizer.json")
    layout = PatchLayout.from_config(read_json(directory / "preprocessor_config.json"))
    model = _load_model(directory, device)
    _check_agreement(model, text, layout)
    return Checkpoint(
        model=model,
        text=text,
        layout=layout,
        fingerprint=fingerprint(directory),
        max_tokens=int(model.config.get_text_config().max_position_embeddings),
        ends=frozenset({text.special.im_end, *_ends(model)}),
    )


def _load_model(directory: Path, device: str) -> Qwen2VLForConditionalGeneration:
    # A bar drawn over itself is noise in a server's log.
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        loaded: Any = Qwen2VLForConditionalGeneration.from_pretrained(
            directory,
            dtype=_dtype(directory, device),
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            # Reported below, with names, rather than raised without.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as unreadable:
        raise CheckpointError(f"checkpoint {directory.name!r} cannot be loaded: {unreadable}") from unreadable
    model: Qwen2VLForConditionalGeneration
    report: dict[str, Any]
    model, report = loaded
    for trouble in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report[trouble]:
            first = ", ".join(str(key) for key in sorted(report[trouble])[:4])
            raise CheckpointError(f"checkpoint {directory.name!r} has {len(report[trouble])} {trouble}: {first}")
    model.to(device)  # type: ignore[arg-type]  # torch's own signature is lost in transformers' wrapper
    return model


_HALVES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def _dtype(directory: Path, device: str) -> torch.dtype:
    """Half precision only where the checkpoint says so and the device is quick at it."""
    config = read_json(directory / "config.json")
    said = {config.get("torch_dtype"), config.get("dtype"), (config.get("text_config") or {}).get("dtype")}
    on_gpu = device.startswith("cuda")
    return next((half for name, half in _HALVES.items() if on_gpu and name in said), torch.float32)


def _check_agreement(model: Qwen2VLForConditionalGeneration, text: TextTokens, layout: PatchLayout) -> None:
    """Configuration, tokeniser and preprocessor each say some things twice; they must say the same."""
    config: Any = model.config
    vision = config.vision_config
    said: dict[str, tuple[object, object]] = {
        "image_token_id": (config.image_token_id, text.special.image_pad),
        "video_token_id": (config.video_token_id, text.special.video_pad),
        "vision_start_token_id": (config.vision_start_token_id, text.special.vision_start),
        "patch_size": (vision.patch_size, layout.patch_size),
        "temporal_patch_size": (vision.temporal_patch_size, layout.temporal_patch_size),
        "spatial_merge_size": (vision.spatial_merge_size, layout.merge_size),
    }
    for name, (in_config, elsewhere) in said.items():
        if in_config != elsewhere:
            raise CheckpointError(f"config.json says {name} = {in_config}, tokeniser or preprocessor {elsewhere}")


def _ends(model: Qwen2VLForConditionalGeneration) -> Iterator[int]:
    for config in (model.config.get_text_config(), model.generation_config):
        ids = getattr(config, "eos_token_id", None)
        yield from [ids] if isinstance(ids, int) else ids or []
