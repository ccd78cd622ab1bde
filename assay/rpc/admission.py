"""How many calls a program answers at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from assay.errors import Busy


class ConcurrencyLimit:
    """Counts requests, without a queue: waiting is the gateway's decision."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.taken = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """A place for as long as the block runs. Busy if all are taken."""
        if self.taken >= self._limit:
            raise Busy(f"the server is at its limit of {self._limit} requests; try again in a moment")
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
