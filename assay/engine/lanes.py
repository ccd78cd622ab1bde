"""Lanes: work that goes on side by side on a GPU, and copies that the host does not wait for.

On a CPU there is one lane: everything is done when the call returns, and all of this is nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class Mark:
    """A point in the lane at hand: what was started there before it."""

    def __init__(self, device: torch.device) -> None:
        self._event = _event() if device.type == "cuda" else None
        if self._event:
            self._event.record(torch.cuda.current_stream(device))

    def go_on_after(self) -> None:
        """What the lane at hand starts from now on comes after it; the host does not wait."""
        if self._event:
            self._event.wait()

    @property
    def is_done(self) -> bool:
        return self._event is None or bool(self._event.query())  # type: ignore[no-untyped-call]

    def wait(self) -> None:
        """The host waits until it is done."""
        if self._event:
            self._event.synchronize()


class Lane:
    """A lane of one device: what is started in it runs in order, beside what other lanes run."""

    def __init__(self, device: torch.device) -> None:
        self._stream = new_stream(device) if device.type == "cuda" else None

    @contextmanager
    def work(self, after: Mark) -> Iterator[None]:
        """What is started within runs in this lane, after the mark."""
        if self._stream is None:
            yield
            return
        with torch.cuda.stream(self._stream):
            after.go_on_after()
            yield


def new_stream(device: torch.device) -> torch.cuda.Stream:
    """torch does not say what its own constructors take."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _event() -> torch.cuda.Event:
    return torch.cuda.Event()  # type: ignore[no-untyped-call]


def used_here(made_elsewhere: Tensor) -> Tensor:
    """The same tensor; its memory is not given away before the lane at hand is done with it."""
    if made_elsewhere.is_cuda:
        made_elsewhere.record_stream(torch.cuda.current_stream(made_elsewhere.device))
    return made_elsewhere


def work_here(device: torch.device) -> None:
    """This thread works with this device; torch would take the first one."""
    if device.type == "cuda":
        torch.cuda.set_device(device)


def wait_for_all(device: torch.device) -> None:
    """The host waits until all lanes are done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def to_device(host: Tensor, device: torch.device) -> Tensor:
    """The same on the device; the host does not wait for the copy, and may drop its own at once."""
    return pinned(host, device).to(device, non_blocking=True)


def pinned(host: Tensor, device: torch.device) -> Tensor:
    """The same in memory that a GPU copies from by itself."""
    return host.pin_memory() if device.type == "cuda" else host


def to_host(made: Tensor) -> tuple[Tensor, Mark]:
    """A copy on the host, to be read once the mark is done."""
    if not made.is_cuda:
        return made, Mark(made.device)
    copy = torch.empty(made.shape, dtype=made.dtype, pin_memory=True)
    copy.copy_(made, non_blocking=True)
    return copy, Mark(made.device)
