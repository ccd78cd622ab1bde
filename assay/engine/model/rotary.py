"""Rotary positions: where a token or patch stands, as the angles by which its queries and keys are rotated."""

import torch
from torch import Tensor


def prompt_positions(clip_start: int, grid_thw: tuple[int, int, int], merge: int, length: int) -> Tensor:
    """(3, length) int64 positions along time, height and width of a prompt with one clip in it.

    Text has the same position along all three. A clip's tokens count frames pairs, rows and columns from where it
    starts, and the text behind it goes on after the longer side.
    """
    time, rows, columns = grid_thw[0], grid_thw[1] // merge, grid_thw[2] // merge
    axes = torch.meshgrid(torch.arange(time), torch.arange(rows), torch.arange(columns), indexing="ij")
    clip = torch.stack(axes).view(3, -1) + clip_start
    behind = length - clip_start - clip.shape[1]
    on = torch.arange(behind) + clip_start + max(rows, columns)
    return torch.cat([torch.arange(clip_start).expand(3, -1), clip, on.expand(3, -1)], dim=1)


class TextAngles:
    """Positions along three axes to cosines and sines; each frequency belongs to one axis (mrope_section)."""

    def __init__(self, inv_freq: Tensor, mrope_section: tuple[int, ...]) -> None:
        self._inv_freq = inv_freq.float()
        axis = [i % 3 for i, size in enumerate(mrope_section) for _ in range(size)]
        self._axis = torch.tensor(axis, device=inv_freq.device)

    def __call__(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """(3, tokens) -> cosines and sines, (tokens, 1, head_dim) float32."""
        angles = positions[self._axis].t() * self._inv_freq
        doubled = torch.cat([angles, angles], dim=-1).unsqueeze(1)
        return doubled.cos(), doubled.sin()


def patch_angles(inv_freq: Tensor, rows: int, columns: int, merge: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the patches of one picture, (patches, 1, head_dim) float32, block by block of merge ** 2."""
    place = torch.arange(rows * columns, device=inv_freq.device).view(rows // merge, merge, columns // merge, merge)
    place = place.transpose(1, 2).reshape(-1, 1)
    down, across = (place // columns) * inv_freq, (place % columns) * inv_freq
    angles = torch.cat([down, across, down, across], dim=-1).unsqueeze(1)
    return angles.cos(), angles.sin()


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Queries or keys, (tokens, heads, head_dim), rotated by their angles."""
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-right, left], dim=-1) * sin
