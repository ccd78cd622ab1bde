"""Kept: what may be of use again, within a bound of bytes; what has not been used for longest goes first."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(slots=True)
class Uses:
    """How often what was wanted had been kept. In pieces of whatever is counted."""

    found: int = 0
    missed: int = 0
    evicted: int = 0


class Kept(Generic[Key, Value]):
    """Least recently used out first. Not for several threads."""

    def __init__(self, most_bytes: int, size_bytes: Callable[[Value], int]) -> None:
        """`size_bytes` may change while a value is kept."""
        self.uses = Uses()
        self._most_bytes, self._size_bytes = most_bytes, size_bytes
        self._values: OrderedDict[Key, Value] = OrderedDict()

    @property
    def held_bytes(self) -> int:
        return sum(map(self._size_bytes, self._values.values()))

    def items(self) -> Iterator[tuple[Key, Value]]:
        """From the least recently used on."""
        yield from self._values.items()

    def get(self, key: Key) -> Value | None:
        """The value, which is now the most recently used; None if it is not kept."""
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key]

    def put(self, key: Key, value: Value) -> None:
        """Keep this; others go until all fits, and so does this one if it is too large by itself."""
        self._values[key] = value
        self._values.move_to_end(key)
        self.trim()

    def trim(self) -> None:
        """Let go of the least recently used until all fits; to be called where a value that is kept has grown."""
        held = self.held_bytes
        while held > self._most_bytes:
            _, gone = self._values.popitem(last=False)
            held -= self._size_bytes(gone)
            self.uses.evicted += 1
