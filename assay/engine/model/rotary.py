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


def patch_turns(inv_freq: Tensor, rows: int, columns: int, merge: int) -> Tensor:
    """patch_angles as complex numbers of length 1, (patches, 1, head_dim / 2), for `turned`."""
    cos, sin = patch_angles(inv_freq, rows, columns, merge)
    half = cos.shape[-1] // 2
    return torch.complex(cos[..., :half], sin[..., :half])


def turned(x: Tensor, turns: Tensor) -> Tensor:
    """As `rotated`, of heads whose left and right halves are `interleaved`: one product where that takes five steps."""
    pairs = torch.view_as_complex(x.float().view(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turns).flatten(-2).to(x.dtype)


def interleaved(weight: Tensor, heads: int, turning: int) -> Tensor:
    """A weight or bias whose rows are those of so many heads: in the first `turning` of them the rows of the left half
    alternate with those of the right one. Products of a query and a key stay what they are."""
    by_head = weight.reshape(heads, 2, len(weight) // heads // 2, *weight.shape[1:])
    return torch.cat([by_head[:turning].transpose(1, 2).flatten(0, 2), by_head[turning:].flatten(0, 2)])
