"""Desk: keys and values of the sequences that are being written, side by side in places that never move.

A sequence's own memory remains the one that counts: prefixes are found in it, and it goes where there is room. While
answers are being written they have a seat at the desk, where one attention reaches all of them and a graph finds them
at the same addresses every time. What a sequence lacks at its seat is copied there, once, when it sits down; what it
writes is copied back after every forward.
"""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from assay.engine.prefixes import Memory


@dataclass(slots=True)
class _Seat:
    sitting: weakref.ref[Memory] | None = None
    count: int = 0
    """So many first places are as in the memory of whoever sits here."""
    last_used: int = 0


class Desk:
    """A few seats of equally many places."""

    def __init__(self, shape: tuple[int, int, int, int], seats: int, places: int, like: Tensor) -> None:
        """`shape`: layers, 2, key heads, head_dim; `like` says kind and device."""
        layers, two, key_heads, head_dim = shape
        # What is not seen must be finite. The last place takes what is of no use: rows that only fill up.
        room = (layers, two, seats, key_heads, places + 1, head_dim)
        self.keys_values = torch.zeros(room, dtype=like.dtype, device=like.device)
        """(layers, 2, seats, key heads, places + 1, head_dim)."""
        self.places = places
        self._seats = [_Seat() for _ in range(seats)]
        self._uses = 0

    @property
    def seats(self) -> int:
        return len(self._seats)

    @property
    def size_bytes(self) -> int:
        return self.keys_values.element_size() * self.keys_values.numel()

    def sit(self, memories: Sequence[Memory], keeps: Sequence[int], seats: int) -> list[int]:
        """A seat for each among the first `seats`, where its first `keep` places are as in its memory."""
        self._uses += 1
        taken = self._where(memories, seats)
        free = [number for number in range(seats) if number not in taken.values()]
        free.sort(key=lambda number: self._last_use(self._seats[number]))
        chosen = [taken[id(memory)] if id(memory) in taken else free.pop(0) for memory in memories]
        for number, memory, keep in zip(chosen, memories, keeps, strict=True):
            self._bring(number, memory, keep)
        return chosen

    def leave(self, memory: Memory, keep: int) -> None:
        """From `keep` on the memory is about to be written elsewhere."""
        for seat in self._seats:
            if seat.sitting and seat.sitting() is memory:
                seat.count = min(seat.count, keep)

    def take_back(self, number: int, memory: Memory, start: int, end: int) -> None:
        """Copy what has been written in these places of a seat to the memory of whoever sits there."""
        memory.keys_values[:, :, :, start:end] = self.keys_values[:, :, number, :, start:end]
        self._seats[number].count = end

    def _where(self, memories: Sequence[Memory], seats: int) -> dict[int, int]:
        wanted = {id(memory) for memory in memories}
        sitting = ((number, seat.sitting and seat.sitting()) for number, seat in enumerate(self._seats[:seats]))
        return {id(memory): number for number, memory in sitting if memory and id(memory) in wanted}

    def _last_use(self, seat: _Seat) -> int:
        return seat.last_used if seat.sitting and seat.sitting() else -1

    def _bring(self, number: int, memory: Memory, keep: int) -> None:
        seat = self._seats[number]
        if not (seat.sitting and seat.sitting() is memory):
            # It may have sat elsewhere, where what it writes from now on will not be known.
            self.leave(memory, 0)
            self._seats[number] = seat = _Seat(weakref.ref(memory))
        if seat.count < keep:
            lacking = slice(seat.count, keep)
            self.keys_values[:, :, number, :, lacking] = memory.keys_values[:, :, :, lacking]
        seat.count, seat.last_used = keep, self._uses
