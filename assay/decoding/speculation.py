"""Drafts: what an answer will probably be, from answers that were written before. The model has the last word.

A whole answer is drafted from the one to the same question about a clip that shows some of the same frames: the
window before, on a live feed. It is read in one forward together with the prompt, and holds up to the first place where
the model would have written otherwise. Free texts are guessed a few tokens ahead from what was written in the same
place of other answers. A token's numbers depend on what is in front of it alone (`steady`), so drafts change how many
forwards an answer takes, and nothing else.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

MOST_DRAFTS = 256
"""Answers kept; of these and of the free texts' places those not asked for longest are forgotten."""
MOST_PHRASES = 32
"""Kept of one free text's place; those written last."""
MOST_GUESSED = 10
"""Tokens that are read ahead of a free text."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A whole answer, and where its writing needed logits."""

    answer: tuple[int, ...]
    looked: tuple[int, ...]
    """Tokens of the answer in front of each look. What was looked at off its way is no part of a draft: keys of side
    ways would stand in other places than without a draft, and sums come out another way in the last bit."""


@dataclass(slots=True)
class Phrases:
    """What was written in one free text's place, as tokens, stops included."""

    written: deque[tuple[int, ...]] = field(default_factory=lambda: deque(maxlen=MOST_PHRASES))

    def guess(self, so_far: Sequence[int]) -> tuple[int, ...]:
        """How it may go on: as the last one that began like it, or else after the same two tokens."""
        start = tuple(so_far)
        for phrase in reversed(self.written):
            if len(phrase) > len(start) and phrase[: len(start)] == start:
                return phrase[len(start) : len(start) + MOST_GUESSED]
        for phrase in reversed(self.written) if len(start) >= 2 else ():
            for place in range(2, len(phrase)):
                if phrase[place - 2 : place] == start[-2:]:
                    return phrase[place : place + MOST_GUESSED]
        return ()

    def learn(self, phrase: Sequence[int]) -> None:
        """The newest stands last."""
        if tuple(phrase) in self.written:
            self.written.remove(tuple(phrase))
        self.written.append(tuple(phrase))


class Drafts:
    """Of what was asked and answered since the start. For one thread."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Hashable, list[tuple[frozenset[bytes], Draft]]] = OrderedDict()
        self._phrases: OrderedDict[Hashable, Phrases] = OrderedDict()

    def find(self, asked: Hashable, frames: Sequence[bytes]) -> Draft | None:
        """The last answer to this question about a clip with some of these frames, known by their hashes."""
        answers = self._answers.get(asked, [])
        return next((draft for seen, draft in reversed(answers) if not seen.isdisjoint(frames)), None)

    def learn(self, asked: Hashable, frames: Sequence[bytes], draft: Draft) -> None:
        """Takes the place of the one for the same frames."""
        seen = frozenset(frames)
        others = [(shown, other) for shown, other in self._answers.pop(asked, []) if shown != seen]
        self._answers[asked] = [*others[1 - MOST_DRAFTS :], (seen, draft)]
        while sum(map(len, self._answers.values())) > MOST_DRAFTS:
            self._answers.popitem(last=False)

    def phrases(self, asked: Hashable, segment: str) -> Phrases:
        """Of one free text's place in the answers to this question."""
        phrases = self._phrases.pop((asked, segment), None) or Phrases()
        self._phrases[asked, segment] = phrases
        while len(self._phrases) > MOST_DRAFTS:
            self._phrases.popitem(last=False)
        return phrases
