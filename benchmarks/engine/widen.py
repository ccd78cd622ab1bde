"""`python -m benchmarks.engine.widen CHECKPOINT OUT --times 4 --layers 12`: its answers, at the cost of a larger model.

For what shows only where a forward costs more than what is done around it. The language model becomes so many
times as wide and so deep: what is added is multiplied by zeros, or adds zero. The vision tower stays as it is.
"""

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def main(argv: Sequence[str] | None = None) -> None:
    """Writes OUT, which must not exist."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine.widen", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--times", type=int, default=4, help="as wide (default 4)")
    parser.add_argument("--layers", type=int, default=12, help="of the language model (default 12)")
    parser.add_argument("--dtype", choices=_DTYPES, default="float32")
    options = parser.parse_args(argv)
    shutil.copytree(options.checkpoint, options.out, ignore=shutil.ignore_patterns("*.safetensors"))
    config = json.loads((options.out / "config.json").read_text(encoding="utf-8"))
    stored = load_file(options.checkpoint / "model.safetensors")
    weights = widen_weights(stored, config, options.times, options.layers)
    dtype = _DTYPES[options.dtype]
    save_file({name: each.to(dtype) for name, each in weights.items()}, options.out / "model.safetensors")
    written = json.dumps(widen_config(config, options.times, options.layers, options.dtype), indent=2)
    (options.out / "config.json").write_text(written + "\n", encoding="utf-8")


def widen_config(config: Mapping[str, Any], times: int, layers: int, dtype: str) -> dict[str, Any]:
    """Of the widened model."""
    text = config["text_config"]
    sizes = ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads")
    wide = {name: times * text[name] for name in sizes}
    # The mean over `times` as many values, most of them zero, is so many times smaller.
    depth = {"num_hidden_layers": layers, "layer_types": text["layer_types"][:1] * layers}
    text = {**text, **wide, **depth, "rms_norm_eps": text["rms_norm_eps"] / times, "dtype": dtype}
    vision = {**config["vision_config"], "hidden_size": wide["hidden_size"], "dtype": dtype}
    return {**config, "dtype": dtype, "text_config": text, "vision_config": vision}


def widen_weights(
    weights: Mapping[str, Tensor], config: Mapping[str, Any], times: int, layers: int
) -> dict[str, Tensor]:
    """float32. `layers`: at least as many as there are."""
    wide = {name: _padded(name, each.float(), times) for name, each in weights.items()}
    for number in range(config["text_config"]["num_hidden_layers"], layers):
        for name in [each for each in wide if each.startswith("model.layers.0.")]:
            adds_nothing = name.endswith(("o_proj.weight", "down_proj.weight"))
            copied = torch.zeros_like(wide[name]) if adds_nothing else wide[name].clone()
            wide[name.replace("layers.0.", f"layers.{number}.")] = copied
    return wide


def _padded(name: str, values: Tensor, times: int) -> Tensor:
    """With zeros where the wider model has more: outputs, inputs or both."""
    if name.startswith("visual."):
        # The merger's last layer writes what the language model reads.
        sides = [times if name.startswith("visual.merger.mlp.2.") else 1, *[1] * (values.dim() - 1)]
    elif name == "model.embed_tokens.weight" or name == "lm_head.weight":
        sides = [1, times]
    else:
        sides = [times] * values.dim()
    padded = torch.zeros([side * size for side, size in zip(sides, values.shape, strict=True)])
    padded[tuple(slice(size) for size in values.shape)] = values
    return padded / times**0.5 if name.endswith("norm.weight") and not name.startswith("visual.") else padded


if __name__ == "__main__":
    main()
