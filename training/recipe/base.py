"""Base: where the weights that a run starts from are, and how they are loaded."""

from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from huggingface_hub import snapshot_download
from huggingface_hub.constants import HF_HUB_CACHE
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration
from transformers.utils import logging as transformers_logging

from assay.errors import CheckpointError


def find_base(name: str, from_hub: bool = False) -> Path:
    """A directory, or a name in the hub's cache; downloaded only if `from_hub`.

    CheckpointError says where they were expected, and how to get them.
    """
    directory = Path(name)
    if directory.is_dir():
        if not (directory / "config.json").is_file():
            raise CheckpointError(f"{directory} holds no config.json; a base is a directory of Qwen2-VL's own files")
        return directory
    try:
        return Path(snapshot_download(name, local_files_only=not from_hub))
    except (OSError, ValueError) as absent:
        raise CheckpointError(
            f"base weights {name!r} were not found: there is no directory {directory}, and the hub's cache "
            f"{HF_HUB_CACHE} does not hold them ({type(absent).__name__}). Get them where the hub can be reached with "
            f"`hf download {name} --local-dir DIR` and say --base DIR, or let this program download them with --hub"
        ) from absent


def load_base(directory: Path, dtype: torch.dtype) -> Qwen2VLForConditionalGeneration:
    """The model on the CPU. CheckpointError names weights that are missing or left over."""
    # A bar drawn over itself is noise in a log.
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    loaded: Any = Qwen2VLForConditionalGeneration.from_pretrained(
        directory,
        dtype=dtype,
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    model: Qwen2VLForConditionalGeneration
    model, report = loaded
    for trouble in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report[trouble]:
            first = ", ".join(map(str, sorted(report[trouble])[:4]))
            raise CheckpointError(f"base {directory} has {len(report[trouble])} {trouble}: {first}")
    return model


def random_base(directory: Path, dtype: torch.dtype, seed: int) -> Qwen2VLForConditionalGeneration:
    """The shape of the base with random weights: the paper's from-scratch control."""
    config: Any = Qwen2VLConfig.from_pretrained(directory, local_files_only=True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Any = Qwen2VLForConditionalGeneration(config)
        model.to(dtype)
    random: Qwen2VLForConditionalGeneration = model
    return random


def empty_base(directory: Path) -> Qwen2VLForConditionalGeneration:
    """The model of the directory's config.json, in float32 and without weights; its buffers are computed."""
    config: Any = Qwen2VLConfig.from_pretrained(directory, local_files_only=True)
    with init_empty_weights():
        model: Any = Qwen2VLForConditionalGeneration(config)
        # What config.json says of the dtype is how weights are stored.
        model.to(torch.float32)
    empty: Qwen2VLForConditionalGeneration = model
    return empty


def without_weights(config: Qwen2VLConfig) -> Qwen2VLForConditionalGeneration:
    """The model's names and shapes, nothing allocated: weights that were gathered elsewhere are saved by it."""
    with torch.device("meta"):
        model: Any = Qwen2VLForConditionalGeneration(config)
    empty: Qwen2VLForConditionalGeneration = model
    return empty
