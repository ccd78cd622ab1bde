"""LoadedModel: a directory with a Qwen2-VL in it, checked before anything is served from it, with its weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import Qwen2VLForConditionalGeneration
from transformers.utils import logging as transformers_logging

from assay.errors import CheckpointError
from assay.qwen2_vl.model_info import ModelInfo, read_model_info


@dataclass(frozen=True, eq=False)
class LoadedModel(ModelInfo):
    """What one directory holds."""

    model: Qwen2VLForConditionalGeneration


def load_model(directory: Path) -> LoadedModel:
    """Read and check a checkpoint, in float32 whatever it is stored in.

    CheckpointError names the file, key or weight at fault.
    """
    info = read_model_info(directory)
    return LoadedModel(**vars(info), model=_load_weights(directory))


def _load_weights(directory: Path) -> Qwen2VLForConditionalGeneration:
    # A bar drawn over itself is noise in a server's log.
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        loaded: Any = Qwen2VLForConditionalGeneration.from_pretrained(
            directory,
            dtype=torch.float32,
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
    return model
