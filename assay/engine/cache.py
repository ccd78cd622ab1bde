"""Cache: what the model remembers of one sequence."""

from dataclasses import dataclass
from typing import Any

from assay.qwen2_vl.prompt_tokens import PromptTokens


@dataclass(slots=True, eq=False)
class Cache:
    """How far one sequence has been read, and what is needed to go on from there."""

    prompt: PromptTokens
    """Its clip goes through the vision tower with the forward that reads the clip's tokens."""
    length: int = 0
    """Tokens remembered."""
    rope_delta: int = 0
    """Position of a token behind the clip, less its place in the sequence: a clip takes more places than positions."""
    memory: Any = None
    """Keys and values, in whatever way the runner that made them keeps them; None before the first forward."""
    ahead: Any = None
    """What a runner has begun to work out before it is read; None if nothing."""
