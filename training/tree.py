"""A batch of conversations as trees: one prefix (system, picture) and several branches (question, answer) behind it.

The picture is encoded once and its tokens are in the sequence once; a branch sees the prefix and itself. Positions
are those of transformers' get_rope_index (tests/training/test_tree.py proves it).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from training.rows import Branch


@dataclass(frozen=True, slots=True)
class Forest:
    """Tensors of one batch; length is that of the longest tree."""

    ids: Tensor
    """(batch, length) int64."""
    positions: Tensor
    """(3, batch, length) int64: time, height, width."""
    mask: Tensor
    """(batch, 1, length, length) bool, True where a query may look."""
    vision: slice
    """Where the picture's tokens stand; the same in every tree."""
    rows: Tensor
    """(targets,) int64, tree of each answer token."""
    places: Tensor
    """(targets,) int64, the place from which it is predicted."""
    wanted: Tensor
    """(targets, vocabulary) float32, distribution over tokens."""
    weights: Tensor
    """(targets,) float32."""
    digits: Tensor
    """(batch, scored branches) int64, index into targets of each score's first digit."""
    expected: Tensor
    """(batch, scored branches) float32."""

    def to(self, device: torch.device) -> "Forest":
        """The same on another device."""
        parts: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        parts |= {name: each.to(device) for name, each in parts.items() if isinstance(each, Tensor)}
        return Forest(**parts)


def vision_positions(start: int, grid_thw: tuple[int, int, int], merge: int) -> Tensor:
    """(3, tokens) of a picture whose first token stands at `start`."""
    time, height, width = grid_thw[0], grid_thw[1] // merge, grid_thw[2] // merge
    steps = torch.meshgrid(torch.arange(time), torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([step.flatten() for step in steps]) + start


def forest(
    prefix: Sequence[int],
    vision: slice,
    grid_thw: tuple[int, int, int],
    branches: Sequence[Sequence[Branch]],
    vocabulary: int,
    merge: int = 2,
    visible: Tensor | None = None,
) -> Forest:
    """Lay out the batch: the same prefix for all, each picture with its own branches.

    visible: places of the picture's tokens that are there, each at its own position; all if None.
    """
    batch = len(branches)
    lengths = [len(prefix) + sum(len(branch.ids) for branch in row) for row in branches]
    ids = torch.zeros(batch, max(lengths), dtype=torch.long)
    positions = torch.zeros(3, batch, max(lengths), dtype=torch.long)
    owner = torch.full((batch, max(lengths)), -1, dtype=torch.long)
    of_prefix = _prefix_positions(len(prefix), vision, grid_thw, merge, visible)
    after = int(of_prefix[:, -1].max()) + 1
    targets: list[tuple[int, int, Branch, int]] = []
    digits: list[list[int]] = [[] for _ in branches]
    for row, several in enumerate(branches):
        ids[row, : len(prefix)] = torch.tensor(prefix)
        positions[:, row, : len(prefix)] = of_prefix
        owner[row, : len(prefix)] = 0
        place = len(prefix)
        for number, branch in enumerate(several, start=1):
            end = place + len(branch.ids)
            ids[row, place:end] = torch.tensor(branch.ids)
            positions[:, row, place:end] = torch.arange(after, after + end - place)
            owner[row, place:end] = number
            for index, weight in enumerate(branch.weights):
                if weight > 0:
                    if index == branch.first_digit:
                        digits[row].append(len(targets))
                    targets.append((row, place, branch, index))
            place = end
    wanted = torch.zeros(len(targets), vocabulary)
    for target, (_, _, branch, index) in enumerate(targets):
        for token, share in branch.soft.get(index, {branch.ids[index]: 1.0}).items():
            wanted[target, token] = share
    return Forest(
        ids=ids,
        positions=positions,
        mask=_tree_mask(owner),
        vision=vision,
        rows=torch.tensor([row for row, *_ in targets]),
        places=torch.tensor([place + index - 1 for _, place, _, index in targets]),
        wanted=wanted,
        weights=torch.tensor([branch.weights[index] for _, _, branch, index in targets]),
        digits=torch.tensor(digits, dtype=torch.long),
        expected=torch.tensor([[branch.expected for branch in row if branch.first_digit >= 0] for row in branches]),
    )


def _prefix_positions(
    length: int, vision: slice, grid_thw: tuple[int, int, int], merge: int, visible: Tensor | None
) -> Tensor:
    before = torch.arange(vision.start).expand(3, -1)
    of_vision = vision_positions(vision.start, grid_thw, merge)
    of_vision = of_vision if visible is None else of_vision[:, visible]
    next_position = vision.start + max(grid_thw[1], grid_thw[2]) // merge
    behind = torch.arange(next_position, next_position + length - vision.stop).expand(3, -1)
    return torch.cat([before, of_vision, behind], dim=1)


def _tree_mask(owner: Tensor) -> Tensor:
    """owner: (batch, length), 0 for the prefix, the branch's number from 1, -1 for padding."""
    length = owner.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    same = owner[:, :, None] == owner[:, None, :]
    return ((same | (owner == 0)[:, None, :]) & causal).unsqueeze(1)
