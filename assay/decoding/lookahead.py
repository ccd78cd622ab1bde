"""TokenHistory: prompt and answer so far, as tokens. It says what the model reads next and remembers what came of it,
also behind tokens that were read ahead because they were likely to follow."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

from assay.decoding.speculation import DraftAnswer
from assay.decoding.token_tree import Query, TokenDistribution, TokenTree, TokenTreeBuilder
from assay.generator import Event

Branch = tuple[int, ...]
"""Tokens that may come next."""

Decoding = Generator[Event | TokenTree, Sequence[TokenDistribution] | None, None]
"""Yields events as they happen, and a TokenTree whenever the model has to be asked; what it answers, one for each
position, is then sent back."""

Asking = Generator[Event | TokenTree, Sequence[TokenDistribution] | None, TokenDistribution]
"""As Decoding, and returns an answer."""

AskingBranches = Generator[
    Event | TokenTree, Sequence[TokenDistribution] | None, tuple[TokenDistribution, list[TokenDistribution]]
]
"""As Asking, and returns the answers behind branches as well."""

_Reading = Generator[Event | TokenTree, Sequence[TokenDistribution] | None, None]


@dataclass(frozen=True, slots=True)
class Guess:
    """How the answer probably goes on behind a question."""

    tokens: tuple[int, ...] = ()
    asked: tuple[int, ...] = ()
    """So many of the tokens are in front of each further question."""
    branches: tuple[tuple[Branch, Query], ...] = ()
    """What the last of these questions asks behind branches that go on from the last token."""


class TokenHistory:
    """The tokens of prompt and answer so far, and how many of them the model has read."""

    def __init__(self, prompt: Sequence[int], draft: DraftAnswer | None = None) -> None:
        """A draft is read along with the first question: where the answer goes as it says, no forward is needed."""
        self._tokens = list(prompt)
        self._prompt_tokens = len(prompt)
        self._draft = draft
        self._read = _CommonPrefix()
        """What the model's KV cache holds."""
        self._foreseen = _CommonPrefix()
        """What `_known` is about."""
        self._known: dict[int, TokenDistribution] = {}
        """Length of a beginning of what was foreseen, to what comes behind it."""
        self._aside: dict[int, dict[Branch, TokenDistribution]] = {}
        """The same of branches that go on from there."""
        self._asked: set[int] = set()
        """Tokens of the answer in front of each question so far."""

    def __len__(self) -> int:
        return len(self._tokens)

    @property
    def answer(self) -> tuple[int, ...]:
        return tuple(self._tokens[self._prompt_tokens :])

    @property
    def as_draft(self) -> DraftAnswer:
        """This answer, as a draft for one that may become alike."""
        return DraftAnswer(self.answer, tuple(sorted(place for place in self._asked if place <= len(self.answer))))

    def append(self, tokens: Sequence[int]) -> None:
        """They are read with the next question, all in one chunk."""
        self._tokens.extend(tokens)
        self._read.follow(self._tokens)
        self._foreseen.follow(self._tokens)

    def truncate(self, length: int) -> None:
        """Take back all but the first tokens."""
        del self._tokens[length:]
        self._read.follow(self._tokens)
        self._foreseen.follow(self._tokens)

    def ask(self, query: Query, guess: Callable[[], Guess] = Guess) -> Asking:
        """What may come next.

        What is guessed to come next is read along, so that questions behind it need no forward if it does. The guess is
        made only where the model has to be asked.
        """
        here, _ = yield from self.ask_branches(query, (), guess=guess)
        return here

    def ask_branches(
        self,
        query: Query,
        branches: Sequence[tuple[Branch, Query]],
        back: int = 0,
        guess: Callable[[], Guess] = Guess,
    ) -> AskingBranches:
        """What may come next, and what behind branches that go on from the history less its last `back` tokens; in one
        forward, but for a draft's. The history is left as it is.

        Branches are read behind the history: in the same places of the KV cache, and so with the same last bits,
        whether the history itself was read before or is now. So nothing is read ahead where there are any; but a guess
        may end in those of a later question.
        """
        if branches and self._draft and not self._read.tokens:
            yield from self.ask(query)
        length = len(self._tokens)
        self._asked.add(length - self._prompt_tokens)
        wanted, base = [] if self._is_foreseen(query) else [length], length - back
        if wanted or not self._has_read(branches, back):
            keep = min(self._read.length, base, length - len(wanted))
            ahead = Guess(branches=tuple(branches)) if branches else self._plan(guess)
            lengths = [*wanted, *(length + count for count in ahead.asked)]
            queries: list[Query | None] = [*[query] * len(wanted), *[None] * len(ahead.asked)]
            yield from self._ask_model(keep, ahead, lengths, queries, base + len(ahead.tokens))
        return self._known[length], [self._aside[base][branch] for branch, _ in branches]

    def _is_foreseen(self, query: Query) -> bool:
        known = self._known.get(len(self._tokens)) if self._foreseen.length == len(self._tokens) else None
        return known is not None and known.answers(query)

    def _has_read(self, branches: Sequence[tuple[Branch, Query]], back: int) -> bool:
        """These branches were read with a guess that came true. Those of a longer history stand in other places."""
        found = self._aside.get(len(self._tokens), {})
        return not branches or (not back and all(branch in found for branch, _ in branches))

    def _plan(self, guess: Callable[[], Guess]) -> Guess:
        """What to read along behind the history."""
        written = len(self._tokens) - self._prompt_tokens
        if self._draft and not self._read.tokens and self._draft.answer[:written] == self.answer:
            return Guess(self._draft.answer[written:], tuple(at - written for at in self._draft.asked if at > written))
        return guess()

    def _ask_model(
        self, keep: int, ahead: Guess, lengths: Sequence[int], queries: Sequence[Query | None], base: int
    ) -> _Reading:
        """Have the model read the history from `keep` on, the guess, and the branches that go on from `base`."""
        chain = [*self._tokens, *ahead.tokens]
        builder = TokenTreeBuilder(chain[keep:])
        places = [length - keep - 1 for length in lengths]
        places += [builder.place(base - keep - 1, branch) for branch, _ in ahead.branches]
        answers = yield builder.tree(keep, places, [*queries, *(query for _, query in ahead.branches)])
        assert answers is not None, "a TokenTree is answered, one TokenDistribution a position"
        self._read.tokens, self._read.length = chain, keep
        if self._foreseen.length < len(self._tokens) or self._foreseen.tokens[: len(chain)] != chain:
            self._known = {length: known for length, known in self._known.items() if length <= keep}
            self._aside = {length: known for length, known in self._aside.items() if length <= keep}
            self._foreseen.tokens, self._foreseen.length = chain, keep
        self._read.follow(self._tokens)
        self._foreseen.follow(self._tokens)
        self._known.update(zip(lengths, answers, strict=False))
        if ahead.branches:
            branches = (branch for branch, _ in ahead.branches)
            self._aside[base] = dict(zip(branches, answers[len(lengths) :], strict=True))


@dataclass(slots=True)
class _CommonPrefix:
    """Tokens that may go on where the history does not, or otherwise than it does."""

    tokens: list[int] = field(default_factory=list)
    length: int = 0
    """So many first ones are the history's."""

    def follow(self, history: Sequence[int]) -> None:
        """The history has been added to, or has lost its end."""
        self.length = min(self.length, len(history))
        most = min(len(self.tokens), len(history))
        while self.length < most and self.tokens[self.length] == history[self.length]:
            self.length += 1
