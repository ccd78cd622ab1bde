"""GPUs of this machine, as NVIDIA's driver lists them: how many there are and what is free on them."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assay.errors import SettingsError
from assay.rpc.environment import inherited
from triton_server.settings import TritonServerSettings

_QUERY = ("nvidia-smi", "--query-gpu=index,uuid,name,memory.total,memory.free", "--format=csv,noheader,nounits")
_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Gpu:
    """One of those that a server may use."""

    index: int
    """Its number among the visible ones, which is CUDA's; not the driver's."""
    name: str
    total_bytes: int
    free_bytes: int


def visible_gpus(environment: Mapping[str, str]) -> tuple[Gpu, ...]:
    """In CUDA's order, those of CUDA_VISIBLE_DEVICES where that is set. Empty where no driver answers.

    SettingsError if CUDA_VISIBLE_DEVICES names one that is not there.
    """
    rows = [[part.strip() for part in line.split(",")] for line in _asked().splitlines() if line.strip()]
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and rows:
        rows = [_named(name.strip(), rows) for name in visible.split(",") if name.strip() not in ("", "-1")]
    return tuple(
        Gpu(index, name, int(total) << 20, int(free) << 20) for index, (_, _, name, total, free) in enumerate(rows)
    )


def chosen_gpus(settings: TritonServerSettings) -> tuple[int, ...]:
    """CUDA's numbers of the GPUs that get engines; empty where the CPU, or `device` alone, has them."""
    if settings.gpus == "none" or (settings.device or "").startswith("cpu"):
        return ()
    there = tuple(gpu.index for gpu in visible_gpus(inherited(["CUDA_"])))
    if settings.device is not None:
        _refuse_absent(settings.device, there)
        return ()
    if settings.gpus == "auto":
        return there
    asked = tuple(int(number) for number in settings.gpus.split(","))
    if absent := [str(number) for number in asked if number not in there]:
        raise SettingsError(
            f"TRITON_SERVER_GPUS names {', '.join(absent)}, and the visible GPUs are "
            f"{', '.join(map(str, there)) or 'none (nvidia-smi lists no GPU)'}",
            field="TRITON_SERVER_GPUS",
        )
    return asked


def _refuse_absent(device: str, there: Sequence[int]) -> None:
    kind, _, number = device.partition(":")
    if kind == "cuda" and int(number or 0) not in there:
        raise SettingsError(
            f"TRITON_SERVER_DEVICE is {device!r}, and the visible GPUs are "
            f"{', '.join(map(str, there)) or 'none (nvidia-smi lists no GPU)'}",
            field="TRITON_SERVER_DEVICE",
        )


def _named(name: str, rows: list[list[str]]) -> list[str]:
    found = [row for row in rows if name == row[0] or row[1].startswith(name)]
    if not found:
        raise SettingsError(
            f"CUDA_VISIBLE_DEVICES names {name!r}, and this machine has {', '.join(row[0] for row in rows)}",
            field="CUDA_VISIBLE_DEVICES",
        )
    return found[0]


def _asked() -> str:
    try:
        return subprocess.run(_QUERY, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
