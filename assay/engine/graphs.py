"""Graphs: steps of one shape, recorded once and replayed.

A small forward on a GPU is a thousand kernels of a few microseconds, and starting them one by one takes longer than
they do. A CUDA graph starts them all with one call, but reads and writes the same addresses every time: what goes in is
copied to where the graph looks for it, and what comes out stands where the next replay will overwrite it.

Where there is no CUDA a recording is the step itself between the same two buffers, so that all but the replay is tried
by tests on a CPU.
"""

import logging
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

from assay.engine.lanes import new_stream

_log = logging.getLogger(__name__)

MOST_GRAPHS = 48
"""Recorded at most; further shapes are run step by step."""
USES_BEFORE = 2
"""A shape is recorded when it comes up once more than this: recording takes as long as many forwards."""
_WARM_UPS = 2
"""Libraries choose kernels and take their memory in the first runs, which cannot be recorded."""

Step = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Recording:
    """A step whose input and output do not move."""

    given: Tensor
    made: Tensor
    replay: Callable[[], None]


Record = Callable[[Step, Tensor], Recording]


class Graphs:
    """The recordings of one lane. They share their memory, so no two of them may run at once."""

    def __init__(
        self,
        device: torch.device,
        *,
        most: int = MOST_GRAPHS,
        uses_before: int = USES_BEFORE,
        record: Record | None = None,
    ) -> None:
        self._device, self._most, self._uses_before = device, most, uses_before
        self._record = record or (_recorder(device) if device.type == "cuda" else _buffered)
        self._recordings: dict[Hashable, Recording] = {}
        self._uses: Counter[Hashable] = Counter()
        self.replays = 0

    @property
    def recorded(self) -> int:
        return len(self._recordings)

    def run(self, shape: Hashable, step: Step, given: Tensor) -> Tensor:
        """step(given on the device). `shape` names the step; equal ones do the same with inputs of equal shape.

        The host does not wait. What comes out may be overwritten by the next run.
        """
        recording = self._recordings.get(shape) or self._may_record(shape, step, given)
        if recording is None:
            return step(given.to(self._device, non_blocking=True))
        recording.given.copy_(given, non_blocking=True)
        recording.replay()
        self.replays += 1
        return recording.made

    def stop(self, why: str) -> None:
        """Forget all recordings, and make no more: slower, but the same steps."""
        _log.warning("no CUDA graphs are used: %s", why)
        self._recordings.clear()
        self._most = 0

    def _may_record(self, shape: Hashable, step: Step, given: Tensor) -> Recording | None:
        self._uses[shape] += 1
        if self._uses[shape] <= self._uses_before or len(self._recordings) >= self._most:
            return None
        before = _reserved_bytes(self._device)
        try:
            recording = self._record(step, given.to(self._device, copy=True))
        except RuntimeError as failure:
            # Slower, but right: without graphs the same step runs kernel by kernel.
            _log.warning("no more CUDA graphs are recorded, as %s could not be: %s", shape, failure)
            self._most = len(self._recordings)
            return None
        self._recordings[shape] = recording
        taken_mib = (_reserved_bytes(self._device) - before) / 2**20
        _log.info("recorded %s (%.0f MiB), graph %d of at most %d", shape, taken_mib, self.recorded, self._most)
        return recording


def _buffered(step: Step, given: Tensor) -> Recording:
    made = step(given).clone()

    def replay() -> None:
        made.copy_(step(given))

    return Recording(given, made, replay)


def _recorder(device: torch.device) -> Record:
    """Records CUDA graphs that share one pool of memory, and a stream: with a stream goes the scratch memory of matrix
    libraries, which graphs of several lanes must not share."""
    pool, beside = torch.cuda.graph_pool_handle(), new_stream(device)

    def record(step: Step, given: Tensor) -> Recording:
        beside.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(beside):
            for _ in range(_WARM_UPS):
                step(given)
        torch.cuda.current_stream(device).wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        # Other threads of the process may go on using the device.
        with torch.cuda.graph(graph, pool=pool, stream=beside, capture_error_mode="thread_local"):
            made = step(given)
        return Recording(given, made, graph.replay)

    return record


def _reserved_bytes(device: torch.device) -> int:
    return torch.cuda.memory_reserved(device) if device.type == "cuda" else 0
