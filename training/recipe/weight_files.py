"""Weights written as on the hub: safetensors, a tensor at a time, and the index of several files; and the room on
a disk."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.weights import INDEX, StoredTensor


def write_tensors(
    path: Path, tensors: Sequence[StoredTensor], content: Callable[[StoredTensor], NDArray[np.uint8]]
) -> None:
    """Writes one safetensors file tensor by tensor, so that no more than one is in memory.

    `content` returns the bytes of a tensor, as many as its dtype and shape have; where the tensors lie now is ignored.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for tensor in tensors:
        header[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [end, end := end + tensor.size_bytes],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors:
            values = content(tensor)
            assert values.nbytes == tensor.size_bytes, tensor.name
            file.write(values.data)


def write_index(directory: Path, files: Mapping[str, str], total_bytes: int) -> None:
    """model.safetensors.index.json, as the hub's: tensor -> file."""
    index = {"metadata": {"total_size": total_bytes}, "weight_map": dict(sorted(files.items()))}
    (directory / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def free_disk_bytes(path: Path) -> int:
    """Where the path lies, or would lie once it is made."""
    return shutil.disk_usage(existing(path)).free


def existing(path: Path) -> Path:
    """The path, or the nearest directory above it that exists."""
    return next(each for each in (path.resolve(), *path.resolve().parents) if each.exists())
