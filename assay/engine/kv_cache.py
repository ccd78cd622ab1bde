"""Prefixes: keys and values of sequences that were read, for others that begin like them.

A conversation goes on in a second service, and several questions are asked about one clip: what they have in common
is read once. They are found by content, the clip's frames and then the token ids, and by the tenant, who finds what was
read for the same tenant alone (`Patches.group_keys`). A row's numbers depend on what is in
front of it alone (`steady`), so an answer is the same to the last bit whether its beginning was read or found.
"""

from dataclasses import dataclass, field

from torch import Tensor

from assay.engine.kept import Kept


@dataclass(slots=True, eq=False, weakref_slot=True)
class Memory:
    """What is remembered of one sequence."""

    clip_key: tuple[bytes, ...]
    """A hash for each group of frames."""
    positions: Tensor
    """(3, prompt tokens)."""
    rope_delta: int
    keys_values: Tensor
    """(layers, 2, key heads, places, head_dim)."""
    ids: list[int] = field(default_factory=list)
    """The tokens whose keys and values stand in the first places."""

    @property
    def size_bytes(self) -> int:
        return self.keys_values.element_size() * self.keys_values.numel()


class Prefixes:
    """The memories of sequences in flight and, as far as there is room, of finished ones."""

    def __init__(self, most_bytes: int) -> None:
        self.kept: Kept[int, Memory] = Kept(most_bytes, lambda memory: memory.size_bytes)
        self.tokens_found = 0
        self._next_key = 0

    def put(self, memory: Memory) -> None:
        """Others may begin with what this one has read, now and later."""
        self._next_key += 1
        self.kept.put(self._next_key, memory)

    def find(self, memory: Memory, ids: tuple[int, ...]) -> tuple[int, Tensor | None]:
        """How many of these tokens were read before, and a memory that has their keys and values."""
        found, best = 0, None
        for key, other in self.kept.items():
            if other.clip_key == memory.clip_key and (common := _common(memory, other, ids)) > found:
                found, best = common, key
        held = self.kept.get(best) if best is not None else None
        return (found, held.keys_values) if held else (0, None)

    def count(self, found: int) -> None:
        """A sequence has begun, with so many tokens found."""
        self.tokens_found += found
        if found:
            self.kept.uses.found += 1
        else:
            self.kept.uses.missed += 1


def _common(memory: Memory, other: Memory, ids: tuple[int, ...]) -> int:
    most = min(len(ids), len(other.ids))
    if other.rope_delta != memory.rope_delta:
        # Behind its prompt the other has counted positions otherwise.
        most = min(most, other.positions.shape[1])
    return next((place for place in range(most) if ids[place] != other.ids[place]), most)
