"""Speculation: what an answer will probably be, from answers that were written before. The model verifies it.

A whole answer is drafted from the one to the same question about a clip that shows some of the same frames: the
window before, on a live feed. It is read in one forward together with the prompt, and is accepted up to the first
place where the model would have written otherwise. About another clip free texts are guessed by prompt lookup, in what
was written in the same place of other answers, and choices by what was chosen there most often. The engine is batch
invariant, so speculation changes how many forwards an answer takes, and nothing else.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

MAX_DRAFTS = 256
"""Answers, and places of free texts: the least recently used are forgotten."""
MAX_PHRASES = 32
"""Of one free text's place: those written last."""
LEAST_SHARE = 0.5
"""An option that was chosen so often, of the last MAX_PHRASES times, is guessed: to read one in vain costs less than a
forward of its own."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DraftAnswer:
    """A whole answer, and where its writing asked the model."""

    answer: tuple[int, ...]
    asked: tuple[int, ...]
    """Tokens of the answer in front of each question. Branches are no part of a draft: their keys would stand in
    other places than without a draft, and sums would differ in the last bit."""


@dataclass(slots=True)
class PromptLookup:
    """What was written in one free text's place, as tokens, stops included."""

    written: deque[tuple[int, ...]] = field(default_factory=lambda: deque(maxlen=MAX_PHRASES))

    def guess(self, so_far: Sequence[int]) -> tuple[int, ...]:
        """How it may go on: as the last one that began like it, or else after the same two tokens."""
        start = tuple(so_far)
        for phrase in reversed(self.written):
            if len(phrase) > len(start) and phrase[: len(start)] == start:
                return phrase[len(start) :]
        for phrase in reversed(self.written) if len(start) >= 2 else ():
            for place in range(2, len(phrase)):
                if phrase[place - 2 : place] == start[-2:]:
                    return phrase[place:]
        return ()

    def learn(self, phrase: Sequence[int]) -> None:
        """The newest stands last."""
        if tuple(phrase) in self.written:
            self.written.remove(tuple(phrase))
        self.written.append(tuple(phrase))


@dataclass(slots=True)
class UsualOption:
    """What was chosen in one choice's place, as tokens."""

    chosen: deque[tuple[int, ...]] = field(default_factory=lambda: deque(maxlen=MAX_PHRASES))

    def guess(self) -> tuple[int, ...]:
        """The one that was chosen most often; nothing if none is usual."""
        (option, times), *_ = Counter(self.chosen).most_common(1) or [((), 0)]
        return option if times >= LEAST_SHARE * len(self.chosen) else ()


class Speculation:
    """The questions and answers since the start. For one thread."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Hashable, list[tuple[frozenset[bytes], DraftAnswer]]] = OrderedDict()
        self._lookups: OrderedDict[Hashable, PromptLookup] = OrderedDict()
        self._usual: OrderedDict[Hashable, UsualOption] = OrderedDict()

    def find(self, question: Hashable, frames: Sequence[bytes]) -> DraftAnswer | None:
        """The last answer to this question about a clip with some of these frames, known by their hashes."""
        answers = self._answers.get(question, [])
        return next((draft for shown, draft in reversed(answers) if not shown.isdisjoint(frames)), None)

    def learn(self, question: Hashable, frames: Sequence[bytes], draft: DraftAnswer) -> None:
        """Takes the place of the one for the same frames."""
        these = frozenset(frames)
        others = [(shown, other) for shown, other in self._answers.pop(question, []) if shown != these]
        self._answers[question] = [*others[1 - MAX_DRAFTS :], (these, draft)]
        while sum(map(len, self._answers.values())) > MAX_DRAFTS:
            self._answers.popitem(last=False)

    def lookup(self, question: Hashable, segment: str) -> PromptLookup:
        """Of one free text's place in the answers to this question."""
        return _recent(self._lookups, (question, segment), PromptLookup)

    def usual(self, question: Hashable, segment: str) -> UsualOption:
        """Of one choice's place in them."""
        return _recent(self._usual, (question, segment), UsualOption)


def _recent(places: OrderedDict[Hashable, T], place: Hashable, make: Callable[[], T]) -> T:
    """What is known of a place, which is now the most recently used."""
    found = places.pop(place, None) or make()
    places[place] = found
    while len(places) > MAX_DRAFTS:
        places.popitem(last=False)
    return found
