"""Merge: base + adapter -> a checkpoint that assay.engine loads, proven before it gets its name.

One tensor of the base is in memory at a time, besides the adapter: shards are read, merged and written as they stand on
the hub. The proof (training/recipe/proof.py) reads the files as written.
"""

import ctypes
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from assay.errors import CheckpointError
from assay.model_memory import available_memory_bytes
from assay.weight_shapes import check_weights, file_name
from assay.weights import (
    StoredTensor,
    check_config,
    check_files,
    read_header,
    read_json,
    shards,
    stored_tensors,
)
from training.recipe.adapter import VISION, adapted_layers, without_base
from training.recipe.proof import (
    LayerProbe,
    Proof,
    StoredWeights,
    as_float,
    check_copies,
    check_layers,
    compare_outputs,
    dtype_of,
    probe,
    tolerance,
)
from training.recipe.weight_files import free_disk_bytes, write_tensors

_CARRIED = ("*.json", "*.jinja", "merges.txt", "assay.toml")
_PROOF = "merge.json"
_M_MMAP_THRESHOLD = -3
"""Of malloc.h."""


def merge(
    base: Path,
    adapter: Path,
    out: Path,
    forms: Path | None = None,
    language_only: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Proof:
    """Writes `out`, which must not exist. forms: an assay.toml, if the base brings none.

    CheckpointError names what the base lacks, adapter weights that find no home, an adapter without vision layers
    (unless `language_only`), too little memory or disk, or layers that the merge lost.
    """
    if out.exists():
        raise CheckpointError(f"{out} exists; merge into a new directory")
    stored = _checked_base(base)
    layers = adapted_layers(without_base(base, adapter))
    if not language_only and not any(VISION in name for name in layers):
        raise CheckpointError(f"{adapter}: no layer of the vision tower (visual.*) is adapted; if that is meant, say "
                              "--language-only")  # fmt: skip
    _refuse_full(stored, layers, out)
    _return_freed_memory()
    _reset_peak()
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    probes = _write(base, part, layers, say)
    _carry(base, part, forms)
    merged = stored_tensors(part)
    say("proving: copied and adapted weights")
    check_copies(stored, merged, layers)
    worst = check_layers(StoredWeights(merged), probes)
    say("proving: what adapted layers answer")
    proof = Proof(
        layers=len(layers),
        vision_layers=sum(VISION in name for name in layers),
        worst_layer=worst,
        worst_output=compare_outputs(base, stored, layers, merged),
        adapter_moves=max(each.adapter_share for each in probes.values()),
        tolerance=tolerance(merged),
    )
    (part / _PROOF).write_text(json.dumps(asdict(proof), indent=2) + "\n", encoding="utf-8")
    for file in part.iterdir():
        # A server is somebody else.
        file.chmod(0o644)
    part.rename(out)
    say(f"memory at most {_peak_memory_bytes() / 1e9:.2f} GB")
    return proof


def _peak_memory_bytes() -> int:
    """The most that this process has had resident since it started, or since _reset_peak()."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) << 10


def _reset_peak() -> None:
    """Lets _peak_memory_bytes() begin at what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")


def needed_memory_bytes(stored: Mapping[str, StoredTensor], layers: Mapping[str, Any]) -> int:
    """The adapter, and one tensor: the largest that is copied, or that is merged, as it is stored and thrice
    in float32."""
    adapter = sum(values.numel() * 4 for layer in layers.values() for values in _lora(layer))
    adapted = {file_name(f"{name}.weight") for name in layers}
    copied = max((tensor.size_bytes for name, tensor in stored.items() if file_name(name) not in adapted), default=0)
    merged = (each.size_bytes + 12 * each.parameters for name, each in stored.items() if file_name(name) in adapted)
    return adapter + max(copied, *merged)


def _checked_base(base: Path) -> dict[str, StoredTensor]:
    check_files(base)
    config = read_json(base / "config.json")
    check_config(config)
    stored = stored_tensors(base)
    check_weights(config, stored)
    return stored


def _refuse_full(stored: Mapping[str, StoredTensor], layers: Mapping[str, Any], out: Path) -> None:
    needed, available = needed_memory_bytes(stored, layers), available_memory_bytes()
    if needed > available:
        raise CheckpointError(
            f"merging needs {needed / 1e9:.1f} GB of memory and {available / 1e9:.1f} GB are available; close other "
            "programs, or merge on a larger machine"
        )
    size, free = sum(tensor.size_bytes for tensor in stored.values()), free_disk_bytes(out)
    if size > free:
        raise CheckpointError(
            f"the merged weights need {size / 1e9:.1f} GB of disk and {free / 1e9:.1f} GB are free at {out.parent}; "
            "make room, or name another disk with --out"
        )


@torch.no_grad()
def _write(base: Path, part: Path, layers: Mapping[str, Any], say: Callable[[str], None]) -> dict[str, LayerProbe]:
    """Writes every shard; returns the probe of every adapted layer."""
    homes = {file_name(f"{name}.weight"): name for name in layers}
    probes: dict[str, LayerProbe] = {}

    def content(tensor: StoredTensor) -> NDArray[np.uint8]:
        name = homes.get(file_name(tensor.name))
        if name is None:
            return tensor.read()
        merged = as_float(tensor)
        before = merged.flatten(1) @ probe(merged)
        merged.add_(layers[name].get_delta_weight("default").float())
        probes[name] = LayerProbe(before, merged.flatten(1) @ probe(merged))
        values: NDArray[np.uint8] = merged.to(dtype_of(tensor)).view(torch.uint8).numpy().reshape(-1)
        return values

    files = shards(base)
    for number, file in enumerate(files, 1):
        say(f"merging {file} ({number} of {len(files)})")
        write_tensors(part / file, read_header(base / file), content)
    return probes


def _return_freed_memory() -> None:
    """Has the C library give every tensor pages of its own. In its heap those of a 7B leave holes of 8 GB."""
    ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 1 << 20)


def _lora(layer: Any) -> tuple[Tensor, Tensor]:
    return layer.lora_A["default"].weight, layer.lora_B["default"].weight


def _carry(base: Path, part: Path, forms: Path | None) -> None:
    for pattern in _CARRIED:
        for file in base.glob(pattern):
            shutil.copyfile(file, part / file.name)
    if forms is not None:
        shutil.copyfile(forms, part / "assay.toml")
