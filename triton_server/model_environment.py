"""The environment that the model runs in: which Python's packages Triton's stub imports, and its variables."""

import sys
from pathlib import Path

from assay.errors import SettingsError
from assay.rpc.environment import inherited
from assay.vllm.support import check_release, find_release
from triton_server.gpus import chosen_gpus
from triton_server.install import binaries, is_from_wheel
from triton_server.settings import TritonServerSettings

VLLM_ENVIRONMENT = Path(__file__).resolve().parents[1] / ".venv-vllm"
"""Made by `make vllm`."""
_PASSED = ("CUDA_", "NVIDIA_", "NCCL_", "PYTORCH_", "TORCH_", "VLLM_", "TMPDIR", "OTEL_")
"""Beginnings of the variables that reach Triton and the model: which GPUs there are and how they are used, and where
spans are sent."""
_LIMITS = (
    *("max_in_flight", "max_waiting", "threads", "device", "engine", "cache_mib", "number_format"),
    *("tensor_parallel", "instances"),
)


def is_on_gpu(settings: TritonServerSettings) -> bool:
    """Whether the engines compute on GPUs."""
    return bool(chosen_gpus(settings)) or (settings.device or "").startswith("cuda")


def runs_vllm(settings: TritonServerSettings) -> bool:
    """Whether the model is vLLM's, by the rule of the setting `engine`."""
    return settings.engine == "vllm" or (settings.engine == "auto" and is_on_gpu(settings))


def model_environment(settings: TritonServerSettings) -> Path:
    """The directory of a virtual environment. SettingsError if it is none, or its vLLM is missing or untested."""
    own = Path(sys.prefix)
    if settings.environment is not None:
        found = settings.environment.absolute()
    else:
        found = VLLM_ENVIRONMENT if runs_vllm(settings) and not find_release() and VLLM_ENVIRONMENT.is_dir() else own
    packages = found / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    if not packages.is_dir():
        raise SettingsError(
            f"TRITON_SERVER_ENVIRONMENT {str(found)!r} is no virtual environment of Python "
            f"{sys.version_info.major}.{sys.version_info.minor}, which this program and Triton's stub run in",
            field="TRITON_SERVER_ENVIRONMENT",
        )
    if runs_vllm(settings):
        check_release(None if found == own else packages)
    return found


def variables(settings: TritonServerSettings) -> dict[str, str]:
    """Little is inherited: the stub finds its packages by PATH, and a stray LD_LIBRARY_PATH would break the wheel's."""
    is_wheel = is_from_wheel(binaries(settings.directory.resolve()))
    passed = _PASSED if is_wheel else (*_PASSED, "LD_LIBRARY_PATH")
    gpus = ",".join(map(str, chosen_gpus(settings))) or None
    limits = {"gpus": gpus, **{name: getattr(settings, name) for name in _LIMITS}}
    return {
        "PATH": f"{model_environment(settings)}/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        # Threads of torch that wait by spinning take the cores from the decoder and from each other: on two busy
        # cores one answer took 8 to 20 s with spinning threads and 0.5 s without.
        "OMP_WAIT_POLICY": "PASSIVE",
        **(_vllm_variables(settings) if runs_vllm(settings) else {}),
        "QWEN2_VL_CHECKPOINT": str(settings.checkpoint.resolve()),
        **inherited(passed),
        **{f"QWEN2_VL_{name.upper()}": str(value) for name, value in limits.items() if value is not None},
    }


def _vllm_variables(settings: TritonServerSettings) -> dict[str, str]:
    """Beyond what assay.vllm gives its core."""
    return {
        # Its lines go the way of all others.
        "VLLM_CONFIGURE_LOGGING": "0",
        **({} if settings.threads is None else {"OMP_NUM_THREADS": str(settings.threads)}),
    }
