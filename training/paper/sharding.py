"""Sharding: weights, gradients and moments of one model spread over all processes (torch's FSDP2).

From scratch every weight of the 7B is trained, at 16 bytes each: 124 GiB, which no GPU holds. An adapter is small and
needs none of this: there every process keeps the whole model (DDP).

Weights travel in float32, and autocast computes in bfloat16, as without sharding: twice the traffic that it could be,
and the very numbers of a run on one process.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor


def shard(model: nn.Module, processes: int, device: torch.device) -> None:
    """In place: every block of the tower and of the language model is gathered only while it computes.

    Every process must hold the same weights. They move to `device` block by block, so none ever holds them all there.
    """
    mesh = init_device_mesh(device.type, (processes,))
    blocks: Any = getattr(model, "_no_split_modules", None)
    for module in model.modules():
        if type(module).__name__ in (blocks or ()):
            fully_shard(module, mesh=mesh)
    fully_shard(model, mesh=mesh)


def whole(values: Tensor) -> Tensor:
    """The full tensor of a shard, for which all processes have to ask; anything else as it is."""
    return values.full_tensor() if isinstance(values, DTensor) else values


def placed(values: Tensor, like: Tensor) -> Tensor:
    """This process's part of a full tensor that every process has, placed as `like` is."""
    values = values.to(like.device)
    if not isinstance(like, DTensor):
        return values
    return distribute_tensor(values, like.device_mesh, like.placements, src_data_rank=None)


def gathered(model: nn.Module, keep: bool) -> dict[str, Tensor]:
    """Every weight in full, on the CPU; all processes call this, and only one that keeps gets them."""
    weights: dict[str, Tensor] = {}
    for name, values in model.named_parameters():
        full = whole(values.detach())
        if keep:
            weights[name] = full.cpu().contiguous()
    return weights
