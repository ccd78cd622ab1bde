"""State: what a run needs to go on, as safetensors and one JSON file."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.paper.settings import SettingsError
from training.paper.sharding import placed, whole

LAST = "state"


def save_state(
    out: Path, model: nn.Module, optimiser: torch.optim.Optimizer, step: int, identity: str, is_main: bool = True
) -> None:
    """Replaces the state in `out` whole. step: steps done. identity: of the run, to be found again.

    All processes call this, because shards have to be gathered; the main one writes.
    """
    trained, moments = _gathered(model, optimiser, is_main)
    if not is_main:
        return
    part, last = out / f".{LAST}.part", out / LAST
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    save_file(trained, part / "trained.safetensors")
    save_file(moments, part / "optimiser.safetensors")
    (part / "state.json").write_text(json.dumps({"step": step, "identity": identity}), encoding="utf-8")
    old = out / f".{LAST}.old"
    shutil.rmtree(old, ignore_errors=True)
    if last.exists():
        last.rename(old)
    part.rename(last)
    shutil.rmtree(old, ignore_errors=True)


def _gathered(
    model: nn.Module, optimiser: torch.optim.Optimizer, keep: bool
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights by name and moments by "name|key", in full and on the CPU; empty unless they are kept."""
    trained: dict[str, Tensor] = {}
    moments: dict[str, Tensor] = {}
    for name, values in _trained(model).items():
        named = {f"{name}|{key}": torch.as_tensor(value) for key, value in optimiser.state.get(values, {}).items()}
        for found, into in (({name: values}, trained), (named, moments)):
            for key, value in found.items():
                full = whole(value.detach())
                if keep:
                    into[key] = full.cpu().contiguous()
    return trained, moments


def load_state(out: Path, model: nn.Module, optimiser: torch.optim.Optimizer, identity: str) -> int:
    """Puts the state in `out` back; returns the steps done, 0 if there is none.

    SettingsError if the state is that of another run (other settings or rows).
    """
    last = out / LAST
    if not last.exists():
        last = out / f".{LAST}.old"
    if not (last / "state.json").is_file():
        return 0
    said: dict[str, Any] = json.loads((last / "state.json").read_text(encoding="utf-8"))
    if said["identity"] != identity:
        raise SettingsError(
            f"{last} is the state of a run with other settings, steps or rows; go on with those, or give another --out"
        )
    trained = _trained(model)
    saved = load_file(last / "trained.safetensors")
    with torch.no_grad():
        for name, values in trained.items():
            values.copy_(placed(saved[name], values))
    for name, value in load_file(last / "optimiser.safetensors").items():
        parameter, key = name.rsplit("|", 1)
        optimiser.state[trained[parameter]][key] = value if key == "step" else placed(value, trained[parameter])
    return int(said["step"])


def _trained(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: values for name, values in model.named_parameters() if values.requires_grad}
