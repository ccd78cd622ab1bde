"""TokenRow: prompt and answer so far, as tokens. It says what to feed the model and remembers what came of it."""

from collections.abc import Generator, Sequence

import torch

from assay.engine.runner import Feed
from assay.generator import Event

Making = Generator[Event | Feed, torch.Tensor | None, None]
"""Yields events as they happen, and a Feed whenever it needs logits, which are then sent back."""

Looking = Generator[Event | Feed, torch.Tensor | None, torch.Tensor]
"""As Making, and returns logits."""


class TokenRow:
    """The tokens of prompt and answer so far, and how many of them the model has read."""

    def __init__(self, prompt: Sequence[int]) -> None:
        self._tokens = list(prompt)
        self._prompt_tokens = len(prompt)
        self._read = 0
        self._logits: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self._tokens)

    @property
    def answer(self) -> tuple[int, ...]:
        return tuple(self._tokens[self._prompt_tokens :])

    def push(self, tokens: Sequence[int]) -> None:
        """Append tokens. They are read with the next look, all in one chunk."""
        self._tokens.extend(tokens)

    def back_to(self, length: int) -> None:
        """Take back all but the first tokens."""
        del self._tokens[length:]
        if length < self._read:
            self._read, self._logits = length, None

    def look(self) -> Looking:
        """What may come next: logits (vocabulary,) float32."""
        if self._read == len(self._tokens) and self._logits is not None:
            return self._logits
        if self._read == len(self._tokens):
            # Taken back to here: the logits are gone, so the last token is read once more.
            self._read -= 1
        logits = yield Feed(self._read, tuple(self._tokens[self._read :]))
        assert logits is not None, "a Feed is answered with logits"
        self._read, self._logits = len(self._tokens), logits
        return logits
