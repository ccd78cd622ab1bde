"""Cache: what the model remembers of one sequence."""

from dataclasses import dataclass, field

from transformers import DynamicCache

from assay.engine.prompt_tokens import PromptTokens


@dataclass(slots=True)
class Cache:
    """Keys and values of one sequence, and what is needed to go on from them."""

    prompt: PromptTokens
    """Its clip goes through the vision tower with the first forward."""
    keys_values: DynamicCache = field(default_factory=DynamicCache)
    rope_delta: int = 0
    """Position of a token behind the clip, less its place in the sequence: a clip takes more places than positions."""

    @property
    def length(self) -> int:
        """Tokens remembered."""
        return int(self.keys_values.get_seq_length())

    def keep(self, length: int) -> None:
        """Forget all but the first tokens."""
        if length < self.length:
            self.keys_values.crop(length - self.length)
