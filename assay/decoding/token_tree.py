"""Runner: the model. It appends tokens to caches and says what might come next.

Two runners implement it: `lean_runner` (its own forward over the checkpoint's weights) and `transformers_runner`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from assay.engine.cache import Cache


@dataclass(frozen=True, slots=True)
class Feed:
    """One forward: forget all but the first `keep` tokens, then read these."""

    keep: int
    token_ids: tuple[int, ...]
    parents: tuple[int, ...] = ()
    """For each token the place (in token_ids) of the one that it follows, -1 for the last that was kept; empty where
    each follows the one in front of it. Tokens that share a parent are alternatives and do not see one another."""
    looks: tuple[int, ...] = ()
    """Places of the tokens behind which logits are wanted; empty for the last one alone."""

    @property
    def is_chain(self) -> bool:
        return not self.parents

    @property
    def wanted(self) -> tuple[int, ...]:
        return self.looks or (len(self.token_ids) - 1,)

    def parent(self, place: int) -> int:
        return self.parents[place] if self.parents else place - 1

    @property
    def depths(self) -> tuple[int, ...]:
        """For each token how many of the fed ones it follows."""
        depths: list[int] = []
        for place in range(len(self.token_ids)):
            parent = self.parent(place)
            depths.append(depths[parent] + 1 if parent >= 0 else 0)
        return tuple(depths)

    @property
    def sees(self) -> NDArray[np.bool_]:
        """(tokens, tokens): whom of the fed ones each sees, itself included."""
        count = len(self.token_ids)
        if self.is_chain:
            return np.tri(count, dtype=bool)
        seen = np.eye(count, dtype=bool)
        for place, parent in enumerate(self.parents):
            if parent >= 0:
                seen[place] |= seen[parent]
        return seen

    def cut(self, count: int) -> tuple["Feed", "Feed"]:
        """The same in two feeds, the first of so many tokens. They must be in front of all forks and looks."""
        parents = tuple(max(parent - count, -1) for parent in self.parents[count:])
        looks = tuple(place - count for place in self.wanted)
        return Feed(self.keep, self.token_ids[:count]), Feed(self.keep + count, self.token_ids[count:], parents, looks)

    @property
    def chain_length(self) -> int:
        """So many first tokens are in front of all forks and looks: the feed can be cut behind any of them."""
        return min(self.trunk_length, *self.wanted)

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
        """Places from the first token behind those kept to this one."""
        found = []
        while place >= 0:
            found.append(place)
            place = self.parent(place)
        return tuple(reversed(found))


Turn = tuple[Cache, Feed]


class Runner(Protocol):
    """Runs Feeds of several sequences on one device."""

    most_at_once: int
    """Turns of one run; 0 for any number."""
    reads_in_pieces: bool
    """Whether a prompt may be cut (Feed.cut), also within the clip's tokens."""

    reads_trees: bool
    """Whether a tree is read in one forward, and its first tokens that follow one another are all remembered."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know of this machine once it has settled (Finished.warnings)."""
        ...

    def settle(self) -> None:
        """Called once, on the thread that will run it."""
        ...

    def resume(self, cache: Cache, feed: Feed, *, is_alone: bool, waiting: Collection[bytes]) -> Feed:
        """What is left to read of a first feed, given what is remembered of others that began like it.

        Its clip may be seen beside what is read of others; it is alone if none are in flight, and what waits to be seen
        (Patches.group_keys) are its own frames and those of others that have not begun.
        """
        ...

    def is_ready(self, cache: Cache) -> bool:
        """False while its clip is being seen beside: to read it would be to wait."""
        ...

    def wait(self) -> None:
        """Until one more of those that were not ready may be."""
        ...

    @property
    def counters(self) -> Mapping[str, int]:
        """What was found again of what had been kept, and what not; empty if nothing is kept."""
        ...

    def run(self, turns: Sequence[Turn]) -> list[torch.Tensor]:
        """For each turn (places wanted, vocabulary) float32 logits, on the CPU. A cache comes up once at most.

        Afterwards the next feed may keep the tokens in front of the first fork, and, of a runner that reads trees, the
        whole spine.
        """
        ...
