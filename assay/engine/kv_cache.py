"""KVCache: keys and values of sequences that were read, as a prefix cache for others that begin like them.

A conversation goes on in a second service, and several questions are asked about one clip: what they have in common
is read once. They are found by content, the clip's frames and then the token ids, and by the tenant, who finds what was
read for the same tenant alone (`Patches.group_keys`). A row's numbers depend on what is in front of it alone (batch
invariance, `model.attention`), so an answer is the same to the last bit whether its beginning was read or found.
"""

from dataclasses import dataclass, field

from torch import Tensor

from assay.decoding.token_tree import TokenTree
from assay.engine.encoder_cache import Pending
from assay.engine.lru import LRU
from assay.qwen2_vl.prompt_tokens import PromptTokens


@dataclass(slots=True, eq=False)
class KVSlot:
    """The keys and values of one sequence."""

    clip_key: tuple[bytes, ...]
    """A hash for each group of frames."""
    positions: Tensor
    """(3, prompt tokens)."""
    rope_delta: int
    """Position of a token behind the clip, less its place in the sequence: a clip takes more places than positions."""
    keys_values: Tensor
    """(layers, 2, key heads, places, head_dim)."""
    ids: list[int] = field(default_factory=list)
    """The tokens whose keys and values stand in the first places."""

    @property
    def size_bytes(self) -> int:
        return self.keys_values.element_size() * self.keys_values.numel()


@dataclass(slots=True, eq=False, weakref_slot=True)
class SequenceState:
    """What a runner holds of one sequence in flight."""

    prompt: PromptTokens
    """Its clip goes through the vision tower with the forward that reads the clip's tokens, if not before."""
    slot: KVSlot | None = None
    """None before the first forward."""
    unread: KVSlot | None = None
    """Without a token in it: made once, however often it is asked before that forward whether others began alike."""
    pending: Pending = field(default_factory=dict)
    """Frame groups that go through the tower before they are read."""


ScheduledStep = tuple[SequenceState, TokenTree]


class KVCache:
    """The slots of sequences in flight and, as far as there is room, of finished ones."""

    def __init__(self, max_bytes: int) -> None:
        self.slots: LRU[KVSlot, KVSlot] = LRU(max_bytes, lambda slot: slot.size_bytes)
        self.tokens_found = 0

    def add(self, slot: KVSlot) -> None:
        """Others may begin with what this one has read, now and later."""
        self.slots.put(slot, slot)

    def grown(self, slot: KVSlot) -> None:
        """It has more places than before: others may have to go."""
        if slot in self.slots:
            self.slots.put(slot, slot)

    def find_prefix(self, slot: KVSlot, ids: tuple[int, ...]) -> tuple[int, Tensor | None]:
        """How many of these tokens were read before, and the keys and values of a sequence that begins with them."""
        found, best = 0, None
        for other in list(self.slots):
            if other.clip_key == slot.clip_key and (common := _common_prefix(slot, other, ids)) > found:
                found, best = common, other
        if best is None:
            return 0, None
        self.slots.get(best)  # It is now the most recently used.
        return found, best.keys_values

    def count_use(self, found: int) -> None:
        """A sequence has begun, with so many tokens found."""
        self.tokens_found += found
        if found:
            self.slots.hits += 1
        else:
            self.slots.misses += 1


def _common_prefix(slot: KVSlot, other: KVSlot, ids: tuple[int, ...]) -> int:
    most = min(len(ids), len(other.ids))
    if other.rope_delta != slot.rope_delta:
        # Behind its prompt the other has counted positions otherwise.
        most = min(most, other.positions.shape[1])
    return next((place for place in range(most) if ids[place] != other.ids[place]), most)
