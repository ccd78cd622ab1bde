"""Runners: which of them runs a checkpoint."""

import logging
from typing import Literal

from assay.engine.checkpoint import Checkpoint
from assay.engine.graph_runner import GraphRunner
from assay.engine.lean_runner import LeanRunner, unsupported
from assay.engine.runner import Runner
from assay.engine.transformers_runner import TransformersRunner
from assay.engine.vision import VisionWeights
from assay.errors import CheckpointError

_log = logging.getLogger(__name__)

RunnerName = Literal["auto", "lean", "transformers"]

_OURS: dict[str, type[LeanRunner]] = {"cpu": LeanRunner, "cuda": GraphRunner}
"""Our own forward, by kind of device."""
_NEVER_RUN = "on a GPU it has not been run yet; runner 'lean' has it run there"


def make_runner(
    checkpoint: Checkpoint, name: RunnerName, *, kept_bytes: int, vision_weights: VisionWeights = "stored"
) -> Runner:
    """The runner of that name. `auto` is `lean` on a CPU where it can run the model, else `transformers`; the log says
    which and why. `kept_bytes` bounds what `lean` keeps for later requests, `vision_weights` says how it holds the
    tower's. CheckpointError if `lean` or a way of holding weights is asked for and cannot run the model."""
    kind, why = choose(name, checkpoint.model.device.type, unsupported(checkpoint.model.config))
    if kind is None:
        _log.info("transformers' model runs this checkpoint%s", f", not our own forward: {why}" if why else "")
        if vision_weights != "stored":
            raise CheckpointError(
                f"vision weights {vision_weights!r} need our own forward (runner 'lean'), and transformers' model runs "
                "this checkpoint; use 'stored'"
            )
        return TransformersRunner(checkpoint.model)
    _log.info("our own forward (%s) runs this checkpoint on %s", kind.__name__, checkpoint.model.device)
    try:
        return kind(checkpoint.model, kept_bytes, vision_weights)
    except ValueError as wrong:
        raise CheckpointError(f"runner 'lean' cannot run this checkpoint: {wrong}") from wrong


def choose(name: RunnerName, device_type: str, trouble: str) -> tuple[type[LeanRunner] | None, str]:
    """Our own forward for the device, or None for transformers' and why; `trouble` is why ours cannot run the model."""
    if not trouble and device_type not in _OURS:
        trouble = f"there is none for {device_type!r}"
    if name == "auto" and not trouble and device_type != "cpu":
        trouble = _NEVER_RUN
    if name == "lean" and trouble:
        raise CheckpointError(f"runner 'lean' cannot run this checkpoint: {trouble}; use 'transformers'")
    return (None, trouble) if trouble or name == "transformers" else (_OURS[device_type], "")
