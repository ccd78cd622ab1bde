"""Room: whether a checkpoint is whole and fits this machine, found before Triton is started."""

from assay.checkpoint import read_checkpoint
from assay.errors import CheckpointError
from assay.machine import available_memory_bytes
from assay.model_memory import BFLOAT16_BYTES, FLOAT32_BYTES, ModelMemory, check_stored, model_memory
from assay.rpc.environment import inherited
from triton_server.gpus import Gpu, chosen_gpus, visible_gpus
from triton_server.settings import TritonServerSettings


def check_room(settings: TritonServerSettings) -> None:
    """CheckpointError or SettingsError says what is missing, of another shape or too large, and what to do."""
    check_stored(settings.checkpoint)
    gpus = chosen_gpus(settings)
    if not (settings.checkpoint / "assay.toml").is_file():
        return
    is_on_gpu = bool(gpus) or (settings.device or "").startswith("cuda")
    need = model_memory(
        settings.checkpoint,
        read_checkpoint(settings.checkpoint),
        number_bytes=BFLOAT16_BYTES if is_on_gpu else FLOAT32_BYTES,
        requests=settings.max_in_flight,
        cache_bytes=0 if is_on_gpu else settings.cache_mib << 20,
    )
    if not is_on_gpu:
        _refuse(need, settings.instances, available_memory_bytes(), "memory")
    for gpu in visible_gpus(inherited(["CUDA_"])):
        if gpu.index in gpus:
            _refuse(need, settings.instances, gpu.free_bytes, _named(gpu))


def _named(gpu: Gpu) -> str:
    busy = gpu.free_bytes < gpu.total_bytes * 0.9
    taken = f", where others hold {(gpu.total_bytes - gpu.free_bytes) / 1e9:.1f} GB" if busy else ""
    return f"memory of GPU {gpu.index} ({gpu.name}{taken})"


def _refuse(need: ModelMemory, instances: int, available_bytes: int, where: str) -> None:
    total = need.total * instances
    if total > available_bytes:
        engines = f"{instances} engines of " if instances > 1 else ""
        raise CheckpointError(
            f"this checkpoint needs {total / 1e9:.1f} GB of {where} ({engines}{need.weights / 1e9:.1f} GB of weights, "
            f"{need.kv / 1e9:.1f} GB of KV cache for {need.requests} requests) and {available_bytes / 1e9:.1f} GB are "
            "available; free some, lower TRITON_SERVER_MAX_IN_FLIGHT, or take a larger machine (assay checkpoint show "
            "--memory)"
        )
