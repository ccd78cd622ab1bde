"""Runners: which of them runs a checkpoint."""

import logging
from typing import Literal

from assay.decoding.token_tree import Runner
from assay.engine.model.loading import Checkpoint
from assay.engine.model.vision import VisionWeights
from assay.engine.model_runner import LeanRunner, unsupported
from assay.engine.transformers_runner import TransformersRunner
from assay.errors import CheckpointError

_log = logging.getLogger(__name__)

RunnerName = Literal["auto", "lean", "transformers"]


def make_runner(
    checkpoint: Checkpoint, name: RunnerName, *, kept_bytes: int, vision_weights: VisionWeights = "stored"
) -> Runner:
    """The runner of that name. `auto` is `lean` on a CPU where it can run the model, else `transformers`; the log says
    which and why. `kept_bytes` bounds what `lean` keeps for later requests, `vision_weights` says how it holds the
    tower's. CheckpointError if `lean` or a way of holding weights is asked for and cannot run the model."""
    is_ours, why = choose(name, checkpoint.model.device.type, unsupported(checkpoint.model.config))
    if not is_ours:
        _log.info("transformers' model runs this checkpoint%s", f", not our own forward: {why}" if why else "")
        if vision_weights != "stored":
            raise CheckpointError(
                f"vision weights {vision_weights!r} need our own forward (runner 'lean'), and transformers' model runs "
                "this checkpoint; use 'stored'"
            )
        return TransformersRunner(checkpoint.model)
    _log.info("our own forward runs this checkpoint on the CPU")
    try:
        return LeanRunner(checkpoint.model, kept_bytes, vision_weights)
    except ValueError as wrong:
        raise CheckpointError(f"runner 'lean' cannot run this checkpoint: {wrong}") from wrong


def choose(name: RunnerName, device_type: str, trouble: str) -> tuple[bool, str]:
    """Whether our own forward runs a model on this kind of device, and if not, why; `trouble` says why it cannot."""
    if device_type != "cpu":
        trouble = trouble or f"it runs on a CPU, and the device is {device_type!r}"
    if name == "lean" and trouble:
        raise CheckpointError(f"runner 'lean' cannot run this checkpoint: {trouble}; use 'transformers'")
    return name != "transformers" and not trouble, trouble
