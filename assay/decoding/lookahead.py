"""TokenRow: prompt and answer so far, as tokens. It says what to feed the model and remembers what came of it."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

import torch

from assay.decoding.speculation import Draft
from assay.decoding.token_tree import Feed
from assay.generator import Event

Making = Generator[Event | Feed, torch.Tensor | None, None]
"""Yields events as they happen, and a Feed whenever it needs logits, (places wanted, vocabulary), which are then sent
back."""

Looking = Generator[Event | Feed, torch.Tensor | None, torch.Tensor]
"""As Making, and returns logits."""

Way = tuple[int, ...]
"""Tokens that may come next."""

LookingAside = Generator[Event | Feed, torch.Tensor | None, tuple[torch.Tensor, list[torch.Tensor]]]
"""As Looking, and returns the logits of ways beside as well."""

FeedingAside = Generator[Event | Feed, torch.Tensor | None, list[torch.Tensor]]


class TokenRow:
    """The tokens of prompt and answer so far, and how many of them the model has read."""

    def __init__(self, prompt: Sequence[int], draft: Draft | None = None) -> None:
        """A draft is read along with the first look: where the answer goes as it says, its looks need no forward."""
        self._tokens = list(prompt)
        self._prompt_tokens = len(prompt)
        self._draft = draft
        self._read = _Common()
        """What the model remembers."""
        self._foreseen = _Common()
        """What `_known` is about."""
        self._known: dict[int, torch.Tensor] = {}
        """Length of a beginning of what was foreseen, to the logits behind it."""
        self._looked: set[int] = set()
        """Where logits were wanted: tokens of the answer so far."""

    def __len__(self) -> int:
        return len(self._tokens)

    @property
    def answer(self) -> tuple[int, ...]:
        return tuple(self._tokens[self._prompt_tokens :])

    @property
    def as_draft(self) -> Draft:
        """This answer, as a draft for one that may become alike."""
        return Draft(self.answer, tuple(sorted(place for place in self._looked if place <= len(self.answer))))

    def push(self, tokens: Sequence[int]) -> None:
        """Append tokens. They are read with the next look, all in one chunk."""
        self._tokens.extend(tokens)
        self._read.follow(self._tokens)
        self._foreseen.follow(self._tokens)

    def back_to(self, length: int) -> None:
        """Take back all but the first tokens."""
        del self._tokens[length:]
        self._read.follow(self._tokens)
        self._foreseen.follow(self._tokens)

    def look(self, guess: Sequence[int] = ()) -> Looking:
        """What may come next: logits (vocabulary,) float32.

        Tokens that are guessed to come next are read along, so that looks behind them need no forward if they do.
        """
        length = len(self._tokens)
        self._looked.add(length - self._prompt_tokens)
        if not self._is_foreseen():
            keep = min(self._read.length, length - 1)
            spine, ahead = self._plan(guess)
            yield from self._feed(keep, spine, [length, *ahead], length, [])
        return self._known[length]

    def look_aside(self, ways: Sequence[Way], back: int = 0) -> LookingAside:
        """What may come next, and what behind other ways to go on from the row less its last `back` tokens; in one
        forward, but for a draft's. The row is left as it is.

        What is beside the way is read behind the row: in the same places of the memory, and so with the same last
        bits, whether the row itself was read before or is now.
        """
        if self._draft and not self._read.tokens:
            yield from self.look()
        length = len(self._tokens)
        self._looked.add(length - self._prompt_tokens)
        wanted, base = [] if self._is_foreseen() else [length], length - back
        beside: list[torch.Tensor] = []
        if ways or wanted:
            keep = min(self._read.length, base, length - len(wanted))
            beside = yield from self._feed(keep, (), wanted, base, ways)
        return self._known[length], beside

    def _is_foreseen(self) -> bool:
        return self._foreseen.length == len(self._tokens) and len(self._tokens) in self._known

    def _plan(self, guess: Sequence[int]) -> tuple[tuple[int, ...], list[int]]:
        """Tokens to read along behind the row, and lengths at which to look."""
        length, written = len(self._tokens), len(self._tokens) - self._prompt_tokens
        if self._draft and not self._read.tokens and self._draft.answer[:written] == self.answer:
            looked = [self._prompt_tokens + at for at in self._draft.looked if at > written]
            return self._draft.answer[written:], looked
        return tuple(guess), [length + count for count in range(1, len(guess) + 1)]

    def _feed(
        self, keep: int, spine: Sequence[int], lengths: Sequence[int], base: int, ways: Sequence[Way]
    ) -> FeedingAside:
        """Read the row from `keep` on, the spine, and the ways that go on from `base`; the logits of the ways."""
        chain = [*self._tokens, *spine]
        tree = _Tree(chain[keep:])
        places = [length - keep - 1 for length in lengths] + [tree.place(base - keep - 1, way) for way in ways]
        logits = yield tree.feed(keep, places)
        assert logits is not None, "a Feed is answered with logits"
        self._read.tokens, self._read.length = chain, keep
        if self._foreseen.length < len(self._tokens) or self._foreseen.tokens[: len(chain)] != chain:
            self._known = {length: known for length, known in self._known.items() if length <= keep}
            self._foreseen.tokens, self._foreseen.length = chain, keep
        self._read.follow(self._tokens)
        self._foreseen.follow(self._tokens)
        self._known.update(zip(lengths, logits, strict=False))
        return list(logits[len(lengths) :])


@dataclass(slots=True)
class _Common:
    """Tokens that may go on where the row does not, or otherwise than the row does."""

    tokens: list[int] = field(default_factory=list)
    length: int = 0
    """So many first ones are the row's."""

    def follow(self, row: Sequence[int]) -> None:
        """The row has been added to, or has lost its end."""
        self.length = min(self.length, len(row))
        most = min(len(self.tokens), len(row))
        while self.length < most and self.tokens[self.length] == row[self.length]:
            self.length += 1


class _Tree:
    """A trunk of tokens and ways that branch off from it, as the rows of a Feed."""

    def __init__(self, trunk: Sequence[int]) -> None:
        self._token_ids = list(trunk)
        self._parents = list(range(-1, len(trunk) - 1))
        self._children: dict[tuple[int, int], int] = {}

    def place(self, root: int, way: Way) -> int:
        """Where the last token of the way from the root stands; its tokens are put in where they are missing."""
        place = root
        for token in way:
            if (place, token) not in self._children:
                self._children[place, token] = len(self._token_ids)
                self._token_ids.append(token)
                self._parents.append(place)
            place = self._children[place, token]
        return place

    def feed(self, keep: int, looks: Sequence[int]) -> Feed:
        is_chain = self._parents == list(range(-1, len(self._parents) - 1))
        return Feed(keep, tuple(self._token_ids), () if is_chain else tuple(self._parents), tuple(looks))
