"""LRU: a cache within a bound of bytes that counts what was found in it; the least recently used is evicted first."""

from collections.abc import Callable, Hashable
from typing import TypeVar

from cachetools import LRUCache

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class LRU(LRUCache[Key, Value]):
    """Not for several threads. `get` makes a value the most recently used."""

    hits = misses = evictions = 0
    """In pieces of whatever is counted; the first two by the caller."""

    def __init__(self, max_bytes: int, size_bytes: Callable[[Value], int]) -> None:
        super().__init__(max_bytes, size_bytes)

    def put(self, key: Key, value: Value) -> None:
        """Takes the place of what had this key, also where that has grown since; others are evicted until all fits.
        What is too large by itself is not cached."""
        self.pop(key, None)
        if self.getsizeof(value) > self.maxsize:
            self.evictions += 1
        else:
            self[key] = value

    def popitem(self) -> tuple[Key, Value]:
        """Evict the least recently used."""
        self.evictions += 1
        return super().popitem()
