"""Runner: what the scheduler asks of a model; and which runner a checkpoint gets, our own forward or transformers'."""

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Literal, Protocol

import torch

from assay.decoding.token_tree import TokenTree
from assay.engine.kv_cache import ScheduledStep, SequenceState
from assay.engine.model.loading import LoadedModel
from assay.engine.model.number_format import NumberFormat, NumberFormatName, measured_format
from assay.engine.model_runner import ModelRunner, unsupported
from assay.engine.transformers_runner import TransformersRunner
from assay.errors import CheckpointError

_log = logging.getLogger(__name__)

RunnerName = Literal["auto", "lean", "transformers"]


class Runner(Protocol):
    """Runs the token trees of several sequences on one device. `ModelRunner` and `TransformersRunner` implement it."""

    max_batch: int
    """Steps of one run; 0 for any number."""
    has_chunked_prefill: bool
    """Whether a prompt may be split (TokenTree.split), also within the clip's tokens."""
    has_tree_attention: bool
    """Whether a tree is read in one forward, and all of its spine is then cached."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know of this machine after warm_up (Finished.warnings)."""
        ...

    def warm_up(self) -> None:
        """Called once, on the thread that will run it."""
        ...

    def begin(self, state: SequenceState, tree: TokenTree, *, waiting: Collection[bytes]) -> TokenTree:
        """What is left to read of a first tree, given the cached prefixes.

        Its clip may be encoded on other threads while other sequences are read. `waiting` are the frame groups
        (Patches.group_keys) of this and all other sequences that have not begun.
        """
        ...

    def encode(self, state: SequenceState, tree: TokenTree) -> bool:
        """Put its clip through the vision tower, if the tree needs it and that was not done; False if not."""
        ...

    def is_ready(self, state: SequenceState) -> bool:
        """False while its clip is being encoded: to read it would be to wait."""
        ...

    def wait(self) -> None:
        """Until one more of those that were not ready may be."""
        ...

    @property
    def counters(self) -> Mapping[str, int]:
        """Cache hits, misses and sizes; empty if nothing is cached."""
        ...

    def run(self, steps: Sequence[ScheduledStep]) -> list[torch.Tensor]:
        """For each step (positions, vocabulary) float32 logits, on the CPU. A sequence comes up once at most.

        Afterwards the next tree may keep the tokens in front of the first fork and, with tree attention, the spine.
        """
        ...


def make_runner(
    loaded: LoadedModel, name: RunnerName, *, cache_bytes: int, number_format: NumberFormat = "stored"
) -> Runner:
    """The runner of that name. `auto` is `lean` on a CPU where it can run the model, else `transformers`; the log says
    which and why. `cache_bytes` bounds the caches of `lean`, `number_format` says how it computes.
    CheckpointError if `lean` or a number format is asked for and cannot run the model."""
    is_ours, why = choose(name, loaded.model.device.type, unsupported(loaded.model.config))
    if not is_ours:
        _log.info("transformers' model runs this checkpoint%s", f", not our own forward: {why}" if why else "")
        if number_format != "stored":
            raise CheckpointError(
                f"number format {number_format!r} needs our own forward (runner 'lean'), and transformers' model runs "
                "this checkpoint; use 'stored'"
            )
        return TransformersRunner(loaded.model)
    _log.info("our own forward runs this checkpoint on the CPU")
    try:
        return ModelRunner(loaded.model, cache_bytes, number_format)
    except ValueError as wrong:
        raise CheckpointError(f"runner 'lean' cannot run this checkpoint: {wrong}") from wrong


def chosen_format(loaded: LoadedModel, name: RunnerName, number_format: NumberFormatName) -> NumberFormat:
    """What "auto" stands for; the log says why."""
    if number_format != "auto":
        return number_format
    is_ours, _ = choose(name, loaded.model.device.type, unsupported(loaded.model.config))
    if not is_ours:
        return "stored"
    chosen, why = measured_format(loaded.model.config)
    _log.info("number format %s: %s", chosen, why)
    return chosen


def choose(name: RunnerName, device_type: str, trouble: str) -> tuple[bool, str]:
    """Whether our own forward runs a model on this kind of device, and if not, why; `trouble` says why it cannot."""
    if device_type != "cpu":
        trouble = trouble or f"it runs on a CPU, and the device is {device_type!r}"
    if name == "lean" and trouble:
        raise CheckpointError(f"runner 'lean' cannot run this checkpoint: {trouble}; use 'transformers'")
    return name != "transformers" and not trouble, trouble
