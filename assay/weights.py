"""The files of a checkpoint directory, checked, counted, hashed and written without a model: torch is not needed.

assay/engine/model/loading.py loads what has passed here.
"""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.errors import CheckpointError

INDEX = "model.safetensors.index.json"
NEEDED = ("config.json", "tokenizer.json", "preprocessor_config.json")
RECORDED_BYTES = 256 << 20
"""Checkpoints from this size on have their hash recorded: it takes a second or more to compute."""
_RECORD = "fingerprint.json"
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_MAX_HEADER_BYTES = 100_000_000
"""safetensors' own limit."""


def fingerprint(directory: Path, verify: bool = False) -> str:
    """Hash of the files that decide what is answered: names and contents; 16 hex digits.

    That of large weights is recorded in their directory and taken from there while size and time of every file are
    those that were hashed, unless `verify`.
    """
    paths = [directory / name for name in (*NEEDED, "generation_config.json") if (directory / name).exists()]
    paths += sorted(directory.glob("*.safetensors"))
    stats = {path.name: path.stat() for path in paths}
    state = {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}
    record = directory / _RECORD
    if not verify and (known := _recorded(record, state)):
        return known
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    found = digest.hexdigest()[:16]
    if sum(stat.st_size for stat in stats.values()) >= RECORDED_BYTES:
        with contextlib.suppress(OSError):  # a directory that is mounted to be read only is hashed at every start
            record.write_text(json.dumps({"fingerprint": found, "files": state}, indent=2) + "\n", encoding="utf-8")
    return found


def _recorded(record: Path, state: Mapping[str, list[int]]) -> str:
    """The hash that was recorded for files of these sizes and times; empty if there is none."""
    try:
        written = json.loads(record.read_text(encoding="utf-8"))
        return str(written["fingerprint"]) if written["files"] == state else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


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
    index = directory / INDEX
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
class StoredTensor:
    """One tensor of a safetensors file, as the file's header describes it."""

    name: str
    dtype: str
    """Such as BF16."""
    shape: tuple[int, ...]
    file: Path
    offset_bytes: int
    """Position of its first byte in the file."""
    size_bytes: int

    @property
    def parameters(self) -> int:
        return prod(self.shape)

    def read(self) -> NDArray[np.uint8]:
        """Its bytes, as they are stored."""
        return np.fromfile(self.file, np.uint8, self.size_bytes, offset=self.offset_bytes)

    def mapped(self) -> NDArray[np.uint8]:
        """The same, read from the file page by page, on access."""
        return np.memmap(self.file, np.uint8, "r", self.offset_bytes, (self.size_bytes,))


@dataclass(frozen=True, slots=True)
class WeightCount:
    """What the headers of the safetensors files say."""

    parameters: int
    tensor_bytes: int
    dtypes: tuple[str, ...]
    """Such as BF16; in alphabetical order."""


def count_weights(directory: Path) -> WeightCount:
    """Sum over all weight files. CheckpointError names a file that is cut off or no safetensors at all."""
    tensors = stored_tensors(directory).values()
    dtypes = tuple(sorted({tensor.dtype for tensor in tensors}))
    return WeightCount(
        sum(tensor.parameters for tensor in tensors), sum(tensor.size_bytes for tensor in tensors), dtypes
    )


def stored_tensors(directory: Path) -> dict[str, StoredTensor]:
    """Name -> tensor, of all weight files. CheckpointError names a file that is missing, cut off or no safetensors."""
    return {tensor.name: tensor for name in shards(directory) for tensor in read_header(directory / name)}


def read_header(path: Path) -> list[StoredTensor]:
    """Every tensor of the file, in the order of their bytes; the file must be as long as these say."""
    try:
        with path.open("rb") as file:
            header_bytes = int.from_bytes(file.read(8), "little")
            if not 2 <= header_bytes <= _MAX_HEADER_BYTES:
                raise CheckpointError(f"{path.name} is no safetensors file")
            header = file.read(header_bytes)
    except FileNotFoundError:
        raise CheckpointError(f"checkpoint {path.parent.name!r} lacks {path.name}") from None
    begin = 8 + header_bytes
    try:
        rows = {name: row for name, row in json.loads(header).items() if name != "__metadata__"}
        spans = {name: tuple(row["data_offsets"]) for name, row in rows.items()}
        tensors = [
            StoredTensor(name, row["dtype"], tuple(row["shape"]), path, begin + first, last - first)
            for (name, row), (first, last) in zip(rows.items(), spans.values(), strict=True)
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as unreadable:
        raise CheckpointError(f"{path.name} is no safetensors file, or is cut off") from unreadable
    expected = begin + max((last for _, last in spans.values()), default=0)
    if path.stat().st_size != expected:
        actual = path.stat().st_size
        raise CheckpointError(f"{path.name} has {actual} bytes, its header says {expected}; fetch it again")
    return sorted(tensors, key=lambda tensor: tensor.offset_bytes)
