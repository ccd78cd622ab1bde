"""`python -m training.blend --first DIR --second DIR --share .6 --out DIR`: weights between two checkpoints.

Of two checkpoints of which one went on from the other, the mean often keeps what the first knew and most of what the
second has learnt (Wortsman et al., Robust fine-tuning of zero-shot models, 2109.01903). Only the weights are written;
everything else is copied from the second.
"""

import argparse
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

_WEIGHTS = "model.safetensors"


def blended(first: dict[str, Tensor], second: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """`share` of the second and the rest of the first, tensor by tensor, in the second's dtype.

    ValueError names a tensor that the two do not have in common, or not in one shape.
    """
    for name in sorted(first.keys() | second.keys()):
        if name not in first or name not in second or first[name].shape != second[name].shape:
            raise ValueError(f"{name} is not in both checkpoints, or not in one shape: they are not of one model")
    return {
        name: (first[name].float() * (1 - share) + tensor.float() * share).to(tensor.dtype).contiguous()
        for name, tensor in second.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=Path, required=True, metavar="DIR")
    parser.add_argument("--second", type=Path, required=True, metavar="DIR")
    parser.add_argument("--share", type=float, required=True, help="of the second: 0 to 1")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new directory")
    options = parser.parse_args()
    if not 0 <= options.share <= 1:
        parser.error(f"--share must lie between 0 and 1, not {options.share}")
    try:
        weights = blended(load_file(options.first / _WEIGHTS), load_file(options.second / _WEIGHTS), options.share)
    except (ValueError, FileNotFoundError) as wrong:
        parser.error(str(wrong))
    if options.out.exists():
        parser.error(f"--out: {options.out} exists already")
    shutil.copytree(options.second, options.out)
    save_file(weights, options.out / _WEIGHTS, metadata={"format": "pt"})
    print(f"{options.out}: {sum(map(torch.numel, weights.values())):,} weights")


if __name__ == "__main__":
    main()
