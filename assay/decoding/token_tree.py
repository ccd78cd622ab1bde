"""TokenTree: the tokens of one forward and what is asked behind them; TokenDistribution: what an engine answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class AllowedTokens:
    """Asks for the probabilities of these tokens, given that one of them comes next."""

    tokens: tuple[int, ...]
    others: frozenset[int] | Literal["all"] = frozenset()
    """Allowed as well, and answered by one probability for all of them together, which then stands last; "all": every
    token that is not in `tokens`."""


@dataclass(frozen=True, slots=True)
class GreedyToken:
    """Asks for the likeliest token of the whole vocabulary."""

    max_tokens: int
    """Asked for in a row at most, each behind the one before: an engine may write so many ahead."""
    stops: tuple[str, ...] = ()
    """Behind a token with one of these in it no further one is asked for."""


Query = AllowedTokens | GreedyToken


class TokenDistribution(Protocol):
    """The distribution of the token behind one position."""

    def answers(self, query: Query) -> bool:
        """True of what was asked there; of an engine that holds logits, also of everything else."""
        ...

    def probabilities(self, query: AllowedTokens) -> Sequence[float]:
        """One for each of its tokens and, if there are others, one for them; they sum to 1."""
        ...

    def likeliest(self) -> int:
        """Greedy decoding."""
        ...


@dataclass(frozen=True, slots=True)
class TokenTree:
    """One forward: keep the first `keep` tokens of the sequence, drop what follows, then read these."""

    keep: int
    token_ids: tuple[int, ...]
    parents: tuple[int, ...] = ()
    """For each token the place (in token_ids) of the one that it follows, -1 for the last of the sequence; empty where
    each follows the one in front of it. Tokens that share a parent are alternatives and do not attend to each other."""
    logit_positions: tuple[int, ...] = ()
    """Places of the tokens behind which something is asked; empty for the last one alone."""
    queries: tuple[Query | None, ...] = ()
    """What, one for each position. None where it is not known yet (speculation): only an engine that holds logits is
    given such a tree. Empty if nobody looks."""

    @property
    def is_chain(self) -> bool:
        return not self.parents

    @property
    def asked_positions(self) -> tuple[int, ...]:
        return self.logit_positions or (len(self.token_ids) - 1,)

    def parent(self, place: int) -> int:
        return self.parents[place] if self.parents else place - 1

    @property
    def depths(self) -> tuple[int, ...]:
        """For each token how many of the tree's tokens it follows."""
        depths: list[int] = []
        for place in range(len(self.token_ids)):
            parent = self.parent(place)
            depths.append(depths[parent] + 1 if parent >= 0 else 0)
        return tuple(depths)

    @property
    def attention_mask(self) -> NDArray[np.bool_]:
        """(tokens, tokens): which of the tree's tokens each attends to, itself included."""
        count = len(self.token_ids)
        if self.is_chain:
            return np.tri(count, dtype=bool)
        mask = np.eye(count, dtype=bool)
        for place, parent in enumerate(self.parents):
            if parent >= 0:
                mask[place] |= mask[parent]
        return mask

    def split(self, count: int) -> tuple["TokenTree", "TokenTree"]:
        """The same as two trees, the first of so many tokens. They must be in front of all forks and positions."""
        parents = tuple(max(parent - count, -1) for parent in self.parents[count:])
        positions = tuple(place - count for place in self.asked_positions)
        rest = TokenTree(self.keep + count, self.token_ids[count:], parents, positions, self.queries)
        return TokenTree(self.keep, self.token_ids[:count]), rest

    @property
    def chain_length(self) -> int:
        """So many first tokens are in front of all forks and positions: the tree can be split behind any of them."""
        return min(self.trunk_length, *self.asked_positions)

    @property
    def trunk_length(self) -> int:
        """So many first tokens are in front of all forks."""
        forks = [parent + 1 for place, parent in enumerate(self.parents) if parent != place - 1]
        return min(forks, default=len(self.token_ids))

    @property
    def spine_length(self) -> int:
        """So many first tokens follow one another, whatever else branches off from them."""
        others = (place for place, parent in enumerate(self.parents) if parent != place - 1)
        return next(others, len(self.token_ids))

    def path(self, place: int) -> tuple[int, ...]:
        """Places from the first token of the tree to this one."""
        found = []
        while place >= 0:
            found.append(place)
            place = self.parent(place)
        return tuple(reversed(found))


class TokenTreeBuilder:
    """A trunk of tokens and branches that fork off from it; equal beginnings of branches are shared."""

    def __init__(self, trunk: Sequence[int]) -> None:
        self._token_ids = list(trunk)
        self._parents = list(range(-1, len(trunk) - 1))
        self._children: dict[tuple[int, int], int] = {}

    def place(self, root: int, branch: Sequence[int]) -> int:
        """Where the last token of the branch from the root stands; its tokens are put in where they are missing."""
        place = root
        for token in branch:
            if (place, token) not in self._children:
                self._children[place, token] = len(self._token_ids)
                self._token_ids.append(token)
                self._parents.append(place)
            place = self._children[place, token]
        return place

    def tree(self, keep: int, positions: Sequence[int], queries: Sequence[Query | None]) -> TokenTree:
        is_chain = self._parents == list(range(-1, len(self._parents) - 1))
        parents = () if is_chain else tuple(self._parents)
        return TokenTree(keep, tuple(self._token_ids), parents, tuple(positions), tuple(queries))
