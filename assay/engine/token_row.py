"""TokenRow: prompt and answer so far, as tokens. It says what to feed the model and remembers what came of it."""

from collections.abc import Generator, Sequence

import torch

from assay.engine.runner import Feed
from assay.generator import Event

Making = Generator[Event | Feed, torch.Tensor | None, None]
"""Yields events as they happen, and a Feed whenever it needs logits, (places wanted, vocabulary), which are then sent
back."""

Looking = Generator[Event | Feed, torch.Tensor | None, torch.Tensor]
"""As Making, and returns logits."""

LookingAhead = Generator[Event | Feed, torch.Tensor | None, list[torch.Tensor]]


class TokenRow:
    """The tokens of prompt and answer so far, and how many of them the model has read."""

    def __init__(self, prompt: Sequence[int]) -> None:
        self._tokens = list(prompt)
        self._prompt_tokens = len(prompt)
        self._read: list[int] = []
        """What the model remembers; may go on where the row does not, or otherwise than the row does."""
        self._agreed = 0
        """So many first tokens are the same in both."""
        self._known: dict[int, torch.Tensor] = {}
        """Length of a beginning of what was read, to the logits behind it."""

    def __len__(self) -> int:
        return len(self._tokens)

    @property
    def answer(self) -> tuple[int, ...]:
        return tuple(self._tokens[self._prompt_tokens :])

    @property
    def read(self) -> tuple[int, ...]:
        """The first tokens of the row that the model has read."""
        return tuple(self._tokens[: self._agreed])

    def push(self, tokens: Sequence[int]) -> None:
        """Append tokens. They are read with the next look, all in one chunk."""
        self._tokens.extend(tokens)
        self._agree()

    def back_to(self, length: int) -> None:
        """Take back all but the first tokens."""
        del self._tokens[length:]
        self._agreed = min(self._agreed, length)
        self._agree()

    def look(self, guess: Sequence[int] = ()) -> Looking:
        """What may come next: logits (vocabulary,) float32.

        Tokens that are guessed to come next are read along, so that looks behind them need no forward if they do.
        """
        length = len(self._tokens)
        if (known := self._known_here()) is not None:
            return known
        # Taken back to here, the logits may be gone: then the last token is read once more.
        keep = min(self._agreed, length - 1)
        token_ids = (*self._tokens[keep:], *guess)
        places = tuple(range(length - 1 - keep, len(token_ids)))
        logits = yield Feed(keep, token_ids, looks=places if guess else ())
        assert logits is not None, "a Feed is answered with logits"
        self._has_read(keep, [*self._tokens, *guess])
        self._known.update({keep + place + 1: row for place, row in zip(places, logits, strict=True)})
        return self._known[length]

    def look_at(self, branches: Sequence[tuple[int, ...]]) -> LookingAhead:
        """What may come behind each of these ways to go on (the empty one is the row as it is), in one forward.

        The row is left as it is.
        """
        length, known = len(self._tokens), self._known_here()
        found: dict[tuple[int, ...], torch.Tensor] = {} if known is None else {(): known}
        missing = [branch for branch in dict.fromkeys(branches) if branch not in found]
        if not missing:
            return [found[branch] for branch in branches]
        keep = min(self._agreed, length - 1) if () in missing else self._agreed
        tree = _Tree(self._tokens[keep:])
        places = [tree.place(branch) for branch in missing]
        logits = yield Feed(keep, tuple(tree.token_ids), tuple(tree.parents) if tree.forks else (), tuple(places))
        assert logits is not None, "a Feed is answered with logits"
        self._has_read(keep, self._tokens)
        found.update(zip(missing, logits, strict=True))
        if () in found:
            self._known[length] = found[()]
        return [found[branch] for branch in branches]

    def _known_here(self) -> torch.Tensor | None:
        return self._known.get(len(self._tokens)) if self._agreed == len(self._tokens) else None

    def _has_read(self, keep: int, tokens: Sequence[int]) -> None:
        self._known = {length: logits for length, logits in self._known.items() if length <= keep}
        self._read, self._agreed = list(tokens), keep
        self._agree()

    def _agree(self) -> None:
        most = min(len(self._read), len(self._tokens))
        while self._agreed < most and self._read[self._agreed] == self._tokens[self._agreed]:
            self._agreed += 1


class _Tree:
    """A trunk of tokens, and ways to go on from its end, as the rows of a Feed."""

    def __init__(self, trunk: Sequence[int]) -> None:
        self.token_ids = list(trunk)
        self.parents = list(range(-1, len(trunk) - 1))
        self._root = len(trunk) - 1
        self._children: dict[tuple[int, int], int] = {}

    @property
    def forks(self) -> bool:
        """False if the tree is a chain."""
        return self.parents != list(range(-1, len(self.parents) - 1))

    def place(self, branch: tuple[int, ...]) -> int:
        """Where the last token of the branch stands; its tokens are put in where they are missing."""
        place = self._root
        for token in branch:
            if (place, token) not in self._children:
                self._children[place, token] = len(self.token_ids)
                self.token_ids.append(token)
                self.parents.append(place)
            place = self._children[place, token]
        return place
