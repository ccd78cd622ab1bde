"""Scheduler: who is next. One forward for each answer in flight, in turn, so that all of them get on."""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from assay.engine.cache import Cache
from assay.engine.checkpoint import Checkpoint
from assay.engine.runner import Feed, Runner
from assay.engine.sequence import Sequence
from assay.engine.token_row import Making
from assay.errors import AssayError, ModelUnavailable
from assay.form import Form
from assay.frame import Clip
from assay.generator import Conversation, Event, Finished

_log = logging.getLogger(__name__)

OnEvent = Callable[[Event | AssayError | None], None]
"""Is called with events in order, and at last with Finished, with an error, or with None: was cancelled."""


@dataclass(slots=True, eq=False)
class Request:
    """One generation that was asked for."""

    request_id: str
    clip: Clip
    conversation: Conversation
    form: Form
    on_event: OnEvent
    is_cancelled: bool = False
    """Set by any thread; looked at between two forwards."""


@dataclass(slots=True, eq=False)
class _InFlight:
    """A request whose answer is being made."""

    request: Request
    cache: Cache
    making: Making
    feed: Feed | None = None
    """What it wants to be fed next; None before it has begun."""


@dataclass(slots=True, eq=False)
class Scheduler:
    """Advances the requests in flight; lives on the engine's thread."""

    checkpoint: Checkpoint
    runner: Runner
    max_in_flight: int
    forget: Callable[[str], None]
    """Told the id of a request right before its last event."""
    _in_flight: deque[_InFlight] = field(default_factory=deque, init=False)

    @property
    def is_idle(self) -> bool:
        return not self._in_flight

    @property
    def room(self) -> int:
        """Requests that can still be admitted."""
        return self.max_in_flight - len(self._in_flight)

    def admit(self, request: Request) -> None:
        """Take a request in flight; what is wrong with it becomes its last event."""
        try:
            sequence = Sequence.begin(self.checkpoint, request.clip, request.conversation, request.form)
        except Exception as wrong:  # noqa: BLE001 - whatever is wrong with one request must not end the others
            self.end(request, _as_answer(wrong, request))
        else:
            self._in_flight.append(_InFlight(request, sequence.cache, sequence.write()))

    def step(self) -> None:
        """One forward for the request whose turn it is, and the events that come of it."""
        turn = self._in_flight.popleft()
        try:
            last = self._advance(turn)
        except Exception as wrong:  # noqa: BLE001 - as above
            self.end(turn.request, _as_answer(wrong, turn.request))
        else:
            if last is None:
                self._in_flight.append(turn)
            else:
                self.end(turn.request, last)

    def drop_cancelled(self) -> None:
        """End those in flight that were cancelled; their caches go with them."""
        cancelled = [turn.request for turn in self._in_flight if turn.request.is_cancelled]
        self._in_flight = deque(turn for turn in self._in_flight if turn.request not in cancelled)
        for request in cancelled:
            self.end(request, None)

    def end(self, request: Request, last: Finished | AssayError | None) -> None:
        """Tell the request's last event."""
        self.forget(request.request_id)
        _tell(request, last)

    def _advance(self, turn: _InFlight) -> Finished | None:
        """Finished if the answer is complete, None if it wants another forward."""
        logits = None if turn.feed is None else self.runner.run(turn.cache, turn.feed)
        item = turn.making.send(logits)
        while not isinstance(item, Feed):
            if isinstance(item, Finished):
                return item
            if not turn.request.is_cancelled:
                _tell(turn.request, item)
            item = next(turn.making)
        turn.feed = item
        return None


def _tell(request: Request, event: Event | AssayError | None) -> None:
    try:
        request.on_event(event)
    except Exception:  # noqa: BLE001 - whatever is wrong with one listener must not end the others
        # Most often it has left: a closed event loop, a broken connection.
        _log.warning("request %s is cancelled, as its listener failed", request.request_id, exc_info=True)
        request.is_cancelled = True


def _as_answer(wrong: Exception, request: Request) -> AssayError:
    """What the client is told; the log has the rest."""
    if isinstance(wrong, AssayError):
        return wrong
    _log.error("request %s failed", request.request_id, exc_info=wrong)
    return ModelUnavailable("the model failed while it wrote this answer; the same request may succeed again")
