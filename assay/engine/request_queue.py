"""RequestQueue: what waits for the engine's workers, and which of them takes it.

What is new goes to the worker with the fewest requests in flight; what has half of its frames or more in common with
earlier requests to the worker that had those, whose caches have them, as long as it has room.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from cachetools import LRUCache

from assay.decoding.event_stream import EngineRequest
from assay.frame import Clip

_KNOWN_FRAMES = 4096
"""Frames whose worker is remembered: more than fit into its caches."""
_STEP_PX = 16
"""Of the grid of pixels that a frame is recognised by. Two that it takes for one share a worker, which harms nobody."""


class RequestQueue:
    """For several threads, each of which holds the engine's lock."""

    def __init__(self, workers: int, max_in_flight: int) -> None:
        """`max_in_flight`: of all workers together."""
        self.in_flight = [0] * workers
        """Requests of each worker."""
        self._max_in_flight, self._room_each = max_in_flight, -(-max_in_flight // workers)
        self._waiting: dict[EngineRequest, tuple[int, ...]] = {}
        """Keys of their frames, in order of their arrival."""
        self._worker_of: dict[str, int] = {}
        """By id of a request in flight."""
        self._worker_that_knows: LRUCache[int, int] = LRUCache(_KNOWN_FRAMES)
        """By key of a frame."""

    def __len__(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    def put(self, request: EngineRequest) -> None:
        self._waiting[request] = _frame_keys(request.clip)

    def has_for(self, worker: int) -> bool:
        """True if `take` would return something."""
        return any(self._is_for(worker, frames) for frames in self._waiting.values())

    def take(self, worker: int) -> Sequence[EngineRequest]:
        """What this worker is to advance from now on, the most urgent first."""
        taken = []
        for request in sorted(self._waiting, key=lambda each: -each.priority):
            frames = self._waiting[request]
            if self._is_for(worker, frames):
                taken.append(request)
                del self._waiting[request]
                self._worker_of[request.request_id] = worker
                self.in_flight[worker] += 1
                self._worker_that_knows.update(dict.fromkeys(frames, worker))
        return taken

    def drop(self, is_unwanted: Callable[[EngineRequest], bool]) -> Sequence[EngineRequest]:
        """Those that need wait no longer; they are not in the queue afterwards."""
        dropped = [request for request in self._waiting if is_unwanted(request)]
        for request in dropped:
            del self._waiting[request]
        return dropped

    def end(self, request_id: str) -> None:
        """There is room for another one; nothing happens if it was not in flight."""
        if (worker := self._worker_of.pop(request_id, None)) is not None:
            self.in_flight[worker] -= 1

    def _is_for(self, worker: int, frames: Sequence[int]) -> bool:
        if not self._has_room(worker):
            return False
        known = Counter(self._worker_that_knows[frame] for frame in frames if frame in self._worker_that_knows)
        for owner, count in known.most_common(1):
            # One that has only a black beginning in common with others is as good as new.
            if 2 * count >= len(frames) and self._has_room(owner):
                return owner == worker
        # Of equals the first: what comes one by one finds the same worker, its guesses and its threads at hand.
        return worker == self.in_flight.index(min(self.in_flight))

    def _has_room(self, worker: int) -> bool:
        return self.in_flight[worker] < self._room_each and sum(self.in_flight) < self._max_in_flight


def _frame_keys(clip: Clip) -> tuple[int, ...]:
    return tuple(hash((each.pixels.shape, each.pixels[::_STEP_PX, ::_STEP_PX].tobytes())) for each in clip.frames)
