"""Room: whether a checkpoint is whole and fits this machine, found before Triton is started."""

from dataclasses import replace

from assay.checkpoint import read_checkpoint
from assay.errors import CheckpointError, SettingsError
from assay.model_memory import (
    BFLOAT16_BYTES,
    FLOAT32_BYTES,
    ModelMemory,
    available_memory_bytes,
    check_stored,
    model_memory,
)
from assay.rpc.environment import inherited
from assay.vllm.support import check_checkpoint, cpu_cache_mib, stored_dtype
from triton_server.gpus import Gpu, chosen_gpus, visible_gpus
from triton_server.model_environment import is_on_gpu, model_environment, runs_vllm
from triton_server.settings import TritonServerSettings

VLLM_BYTES = 1 << 30
"""The process that has imported vLLM, and its buffers, beyond weights and KV cache: 0.95 GiB at most for nano."""


def check_room(settings: TritonServerSettings) -> None:
    """CheckpointError or SettingsError says what is missing, of another shape or too large, and what to do."""
    check_stored(settings.checkpoint)
    gpus = chosen_gpus(settings)
    _check_spread(settings, len(gpus))
    _check_engine(settings)
    if runs_vllm(settings):
        check_checkpoint(settings.checkpoint, settings.tensor_parallel)
        model_environment(settings)
    if not (settings.checkpoint / "assay.toml").is_file():
        return
    need = _need(settings)
    if not is_on_gpu(settings):
        _refuse(need, settings.instances, available_memory_bytes(), "memory")
    for gpu in visible_gpus(inherited(["CUDA_"])):
        if gpu.index in gpus:
            _refuse(need, settings.instances, gpu.free_bytes * settings.tensor_parallel, _named(gpu))


def _need(settings: TritonServerSettings) -> ModelMemory:
    is_gpu, is_vllm = is_on_gpu(settings), runs_vllm(settings)
    is_rounded = is_gpu or (is_vllm and stored_dtype(settings.checkpoint) != "float32")
    need = model_memory(
        settings.checkpoint,
        read_checkpoint(settings.checkpoint),
        number_bytes=BFLOAT16_BYTES if is_rounded else FLOAT32_BYTES,
        requests=settings.max_in_flight,
        cache_bytes=0 if is_gpu else settings.cache_mib << 20,
    )
    # vLLM takes all of its KV cache at the start, and shares it among the requests.
    return (
        replace(need, requests=1, cache=(cpu_cache_mib(settings.cache_mib) << 20) + VLLM_BYTES)
        if is_vllm and not is_gpu
        else need
    )


def _check_spread(settings: TritonServerSettings, gpus: int) -> None:
    wanted = settings.tensor_parallel
    if wanted > 1 and not runs_vllm(settings):
        raise SettingsError(
            f"TRITON_SERVER_TENSOR_PARALLEL is {wanted}, and only vLLM spreads a model; set TRITON_SERVER_ENGINE=vllm",
            field="TRITON_SERVER_TENSOR_PARALLEL",
        )
    if gpus % wanted or (wanted > 1 and is_on_gpu(settings) and not gpus):
        raise SettingsError(
            f"TRITON_SERVER_TENSOR_PARALLEL is {wanted}, and the number of GPUs in use is {gpus}, which is no multiple "
            "of it; set TRITON_SERVER_GPUS",
            field="TRITON_SERVER_TENSOR_PARALLEL",
        )


def _check_engine(settings: TritonServerSettings) -> None:
    if is_on_gpu(settings) and not runs_vllm(settings):
        raise SettingsError(
            "TRITON_SERVER_ENGINE is 'assay', our own, which computes on a CPU, and a GPU is used; set "
            "TRITON_SERVER_DEVICE=cpu, or TRITON_SERVER_ENGINE=vllm, which needs `pip install 'assay[gpu]'`",
            field="TRITON_SERVER_ENGINE",
        )


def _named(gpu: Gpu) -> str:
    busy = gpu.free_bytes < gpu.total_bytes * 0.9
    taken = f", where others hold {(gpu.total_bytes - gpu.free_bytes) / 1e9:.1f} GB" if busy else ""
    return f"memory of GPU {gpu.index} ({gpu.name}{taken})"


def _refuse(need: ModelMemory, instances: int, available_bytes: int, where: str) -> None:
    total = need.total * instances
    if total > available_bytes:
        engines = f"{instances} engines, each of " if instances > 1 else ""
        rest = need.total - need.weights - need.kv
        fewer = "TRITON_SERVER_INSTANCES" if instances > 1 else "TRITON_SERVER_MAX_IN_FLIGHT"
        raise CheckpointError(
            f"this checkpoint needs {total / 1e9:.1f} GB of {where} ({engines}{need.weights / 1e9:.1f} GB of weights, "
            f"{need.kv / 1e9:.1f} GB of KV cache for {need.requests} requests, {rest / 1e9:.1f} GB of other caches, "
            f"activations, libraries) and {available_bytes / 1e9:.1f} GB are available; free some, lower {fewer}, or "
            "take a larger machine (assay checkpoint show --memory)"
        )
