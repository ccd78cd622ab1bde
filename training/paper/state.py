"""State: what a run needs to go on, as safetensors and one JSON file."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.paper.settings import SettingsError

LAST = "state"


def save_state(out: Path, model: nn.Module, optimiser: torch.optim.Optimizer, step: int, identity: str) -> None:
    """Replaces the state in `out` whole. step: steps done. identity: of the run, to be found again."""
    part, last = out / f".{LAST}.part", out / LAST
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    trained = _trained(model)
    save_file(
        {name: values.detach().cpu().contiguous() for name, values in trained.items()}, part / "trained.safetensors"
    )
    moments: dict[str, Tensor] = {}
    for name, values in trained.items():
        for key, value in optimiser.state.get(values, {}).items():
            moments[f"{name}|{key}"] = torch.as_tensor(value).detach().cpu().contiguous()
    save_file(moments, part / "optimiser.safetensors")
    (part / "state.json").write_text(json.dumps({"step": step, "identity": identity}), encoding="utf-8")
    old = out / f".{LAST}.old"
    shutil.rmtree(old, ignore_errors=True)
    if last.exists():
        last.rename(old)
    part.rename(last)
    shutil.rmtree(old, ignore_errors=True)


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
            values.copy_(saved[name])
    for name, value in load_file(last / "optimiser.safetensors").items():
        parameter, key = name.rsplit("|", 1)
        place = torch.device("cpu") if key == "step" else trained[parameter].device
        optimiser.state[trained[parameter]][key] = value.to(place)
    return int(said["step"])


def _trained(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: values for name, values in model.named_parameters() if values.requires_grad}
