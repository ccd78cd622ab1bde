"""Loading: environment variables, and what Triton says of an instance, to an engine."""

import gc
import locale
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy
import triton_python_backend_utils as pb_utils
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from assay.errors import SettingsError
from assay.rpc.environment import show_gpus
from assay.rpc.settings import load
from assay.vllm.support import check_release, cpu_cache_mib


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="QWEN2_VL_", validate_default=True)
    checkpoint: Annotated[Path, Field(description="the directory of a checkpoint")]
    max_in_flight: Annotated[int, Field(ge=1, le=256)] = 8
    max_waiting: Annotated[int, Field(ge=0, le=4096)] = 32
    threads: Annotated[int | None, Field(ge=1, le=1024)] = None
    device: Annotated[str | None, Field(description="torch's name of a device")] = None
    gpus: Annotated[str, Field(description="CUDA's numbers of all that have engines, with commas")] = ""
    instances: Annotated[int, Field(ge=1, le=64)] = 1
    tensor_parallel: Annotated[int, Field(ge=1, le=64)] = 1
    engine: Literal["auto", "assay", "vllm"] = "auto"
    cache_mib: Annotated[int, Field(ge=0, le=1 << 20, description="size of the prefix and encoder caches")] = 256
    number_format: Literal["auto", "stored", "bfloat16", "int8"] = "auto"


def load_engine(args: dict[str, str]) -> tuple[Any, Any]:
    """The engine and its metrics; `args` as Triton gives them to initialize(). AssayError says why there is none."""
    import torch
    from metrics import Metrics

    # The stub leaves the locale at C, in which text files would be read as ASCII.
    locale.setlocale(locale.LC_CTYPE, "")
    # Triton's backend up to 24.10 loses the values of numpy 2 arrays, without an error.
    if pb_utils.Tensor.from_dlpack("a", pb_utils.Tensor("b", numpy.ones(1)).to_dlpack()).as_numpy() != numpy.ones(1):
        raise SettingsError(f"This release of Triton needs numpy < 2, this environment has {numpy.__version__}.")
    settings, gpu = load(_Settings), args["model_instance_device_id"] if args["model_instance_kind"] == "GPU" else ""
    device = settings.device or (f"cuda:{gpu}" if gpu else "cuda" if torch.cuda.is_available() else "cpu")
    is_vllm = settings.engine == "vllm" or (settings.engine == "auto" and device.startswith("cuda"))
    engine = _vllm(settings, device) if is_vllm else _ours(settings)
    # What libraries and weights have made stays: the collector would stop this process for it again and again.
    gc.collect()
    gc.freeze()
    return engine, Metrics(pb_utils.MetricFamily)


def _vllm(settings: _Settings, device: str) -> Any:
    check_release()
    if device.startswith("cuda"):
        show_gpus(_gpus(settings, device.partition(":")[2] or "0"))
    from assay.vllm.engine import VllmEngine
    from assay.vllm.messages import VllmOptions

    options = VllmOptions(
        max_in_flight=settings.max_in_flight,
        max_waiting=settings.max_waiting,
        tensor_parallel=settings.tensor_parallel,
        engines_per_gpu=settings.instances,
        cpu_cache_mib=cpu_cache_mib(settings.cache_mib),
    )
    # Triton does not start a dead model again, but the supervisor of this process does.
    return VllmEngine.load(settings.checkpoint, options, on_death=lambda: os._exit(1))


def _gpus(settings: _Settings, first: str) -> list[str]:
    """Those of one engine: of all that are used so many in a row, from the one that Triton has named."""
    every = settings.gpus.split(",") if settings.gpus else [first]
    return every[every.index(first) :][: settings.tensor_parallel]


def _ours(settings: _Settings) -> Any:
    from assay.engine import Engine, EngineOptions

    others = {"checkpoint", "engine", "device", "gpus", "instances", "tensor_parallel"}
    return Engine.load(settings.checkpoint, EngineOptions(**settings.model_dump(exclude=others)))
