"""The files of a checkpoint directory, checked, counted and hashed without loading them: for this torch is not needed.

assay/engine/checkpoint.py loads what has passed here.
"""

import hashlib
import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from assay.errors import CheckpointError

NEEDED = ("config.json", "tokenizer.json", "preprocessor_config.json")
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_MAX_HEADER_BYTES = 100_000_000
"""safetensors' own limit."""


def fingerprint(directory: Path) -> str:
    """Hash of the files that decide what is answered: names and contents, read piece by piece; 16 hex digits."""
    digest = hashlib.sha256()
    optional = [path for path in [directory / "generation_config.json"] if path.exists()]
    for path in [*(directory / name for name in NEEDED), *optional, *sorted(directory.glob("*.safetensors"))]:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    return digest.hexdigest()[:16]


def check_files(directory: Path) -> None:
    """CheckpointError names what is missing, or what must not be there."""
    if not directory.is_dir():
        raise CheckpointError(f"there is no checkpoint directory {directory.name!r}")
    if not any(directory.glob("*.safetensors")):
        pickled = sorted(path.name for pattern in _PICKLED for path in directory.glob(pattern))
        what = f"; {pickled[0]} is pickled and is not read: convert it to safetensors" if pickled else ""
        raise CheckpointError(f"checkpoint {directory.name!r} holds no *.safetensors{what}")
    missing = [name for name in (*NEEDED, *shards(directory)) if not (directory / name).is_file()]
    if missing:
        raise CheckpointError(f"checkpoint {directory.name!r} lacks {', '.join(missing)}")
    if (directory / "adapter_config.json").exists():
        raise CheckpointError(f"checkpoint {directory.name!r} holds an adapter; merge it into the weights first")


def shards(directory: Path) -> list[str]:
    """The weight files there have to be: those the index names, or the single one."""
    index = directory / "model.safetensors.index.json"
    if not index.exists():
        return ["model.safetensors"]
    return sorted(set(read_json(index).get("weight_map", {}).values()))


def check_config(config: dict[str, Any]) -> None:
    """CheckpointError if config.json is not of a model that the engine runs."""
    if config.get("model_type") != "qwen2_vl":
        raise CheckpointError(f"config.json: model_type must be 'qwen2_vl', got {config.get('model_type')!r}")
    if "auto_map" in config:
        raise CheckpointError("config.json: auto_map asks for code from the checkpoint, which is never run")
    if (config.get("text_config") or config).get("use_sliding_window"):
        raise CheckpointError("config.json: use_sliding_window must be false")


def read_json(path: Path) -> dict[str, Any]:
    """CheckpointError if the file is no JSON object."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as unreadable:
        raise CheckpointError(f"{path.name} is not JSON: {unreadable}") from unreadable
    if not isinstance(values, dict):
        raise CheckpointError(f"{path.name} must be a JSON object, got {type(values).__name__}")
    return values


@dataclass(frozen=True, slots=True)
class WeightCount:
    """What the headers of the safetensors files say."""

    parameters: int
    tensor_bytes: int
    dtypes: tuple[str, ...]
    """Such as BF16; in alphabetical order."""


def count_weights(directory: Path) -> WeightCount:
    """Sum over all weight files. CheckpointError names a file that is cut off or no safetensors at all."""
    rows = [row for name in shards(directory) for row in _tensors(directory / name)]
    dtypes = tuple(sorted({str(row["dtype"]) for row in rows}))
    spans = [row["data_offsets"] for row in rows]
    return WeightCount(sum(prod(row["shape"]) for row in rows), sum(end - start for start, end in spans), dtypes)


def _tensors(path: Path) -> list[dict[str, Any]]:
    """Every tensor of the file: dtype, shape and data_offsets; the file must be as long as these say."""
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        if not 2 <= header_bytes <= _MAX_HEADER_BYTES:
            raise CheckpointError(f"{path.name} is no safetensors file")
        header = file.read(header_bytes)
    try:
        rows = [row for name, row in json.loads(header).items() if name != "__metadata__"]
        end = max((row["data_offsets"][1] for row in rows), default=0)
    except (ValueError, KeyError, TypeError, AttributeError) as unreadable:
        raise CheckpointError(f"{path.name} is no safetensors file, or is cut off") from unreadable
    if path.stat().st_size != 8 + header_bytes + end:
        expected = 8 + header_bytes + end
        actual = path.stat().st_size
        raise CheckpointError(f"{path.name} has {actual} bytes, its header says {expected}; fetch it again")
    return rows
