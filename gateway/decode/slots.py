"""Pixels on their way from a worker to the gateway: equal slots of memory that both map, used in turn."""

import fcntl
import mmap
import os
from typing import Self

import numpy as np
from numpy.typing import NDArray

SLOTS = 8
"""Frames that a worker can be ahead of the gateway; then it waits until one is taken."""


class FrameSlots:
    """One end of the memory. The gateway makes it, and only the gateway changes its size."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.slot_bytes = 0
        self._memory: mmap.mmap | None = None

    @classmethod
    def create(cls) -> Self:
        """Anonymous memory that can grow but, so that the other end cannot pull it from under us, never shrink."""
        fd = os.memfd_create("frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        return cls(fd)

    def grow(self, slot_bytes: int) -> None:
        """The gateway's turn, before a job: every slot shall hold so many bytes, or more if it already does."""
        if slot_bytes > self.slot_bytes:
            os.ftruncate(self.fd, SLOTS * slot_bytes)
            self.map(slot_bytes)

    def map(self, slot_bytes: int) -> None:
        """See the memory as slots of this size."""
        if slot_bytes != self.slot_bytes:
            self.unmap()
            self._memory, self.slot_bytes = mmap.mmap(self.fd, SLOTS * slot_bytes), slot_bytes

    def unmap(self) -> None:
        if self._memory is not None:
            self._memory.close()
            self._memory, self.slot_bytes = None, 0

    def close(self) -> None:
        """Of the gateway's end: afterwards the memory is gone with the worker's."""
        if self.fd >= 0:
            self.unmap()
            os.close(self.fd)
            self.fd = -1

    def put(self, slot: int, pixels: NDArray[np.uint8]) -> None:
        """The worker's turn. (height, width, 3) uint8 into a slot that the gateway has taken from before."""
        if pixels.nbytes > self.slot_bytes:
            raise ValueError(f"a frame of {pixels.nbytes} bytes for a slot of {self.slot_bytes}")
        self._view(slot, pixels.shape)[:] = pixels

    def take(self, slot: int, height_px: int, width_px: int) -> NDArray[np.uint8]:
        """A copy, as the worker writes there again. Raises `ValueError` for what cannot be there."""
        if not (0 <= slot < SLOTS and 0 < height_px * width_px * 3 <= self.slot_bytes):
            raise ValueError(f"no frame can be there: {slot = } {height_px = } {width_px = }")
        return self._view(slot, (height_px, width_px, 3)).copy()

    def _view(self, slot: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        return np.ndarray(shape, np.uint8, self._memory, slot * self.slot_bytes)
