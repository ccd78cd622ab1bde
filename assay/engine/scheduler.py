"""Scheduler: who is next. All answers in flight get on with every forward; of those with much to read, one does."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch

from assay.decoding.lookahead import Making
from assay.decoding.sequence import Sequence as Answer
from assay.decoding.speculation import Drafts
from assay.decoding.token_tree import Feed, Runner
from assay.engine.cache import Cache
from assay.engine.model.loading import Checkpoint
from assay.errors import AssayError, ModelUnavailable
from assay.form import Form
from assay.frame import Clip
from assay.generator import Conversation, Event, Finished

_log = logging.getLogger(__name__)

PIECE_TOKENS = 256
"""A longer feed is read in pieces of this size while others are in flight, so that they need not wait for all of it."""
SHORT_TOKENS = 64
"""Feeds up to this length go along with every forward; of the longer ones a single one does."""

Told = Event | AssayError | None
"""The last one is Finished, an error, or None: was cancelled."""
OnEvents = Callable[[Sequence[Told]], None]
"""Is called with events in order, all that come of one forward at once."""


@dataclass(slots=True, eq=False)
class Request:
    """One generation that was asked for."""

    request_id: str
    clip: Clip
    conversation: Conversation
    form: Form
    on_events: OnEvents
    priority: int = 0
    """Higher ones are admitted first, and read first."""
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
    is_begun: bool = False
    """The runner has been told of it."""


@dataclass(slots=True, eq=False)
class Scheduler:
    """Advances the requests in flight; lives on the engine's thread."""

    checkpoint: Checkpoint
    runner: Runner
    max_in_flight: int
    forget: Callable[[str], None]
    """Told the id of a request right before its last event."""
    drafts: Drafts = field(default_factory=Drafts)
    _in_flight: list[_InFlight] = field(default_factory=list, init=False)
    """Those that have waited longest come first."""

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
            drafts = self.drafts if self.runner.reads_trees else None
            sequence = Answer.begin(self.checkpoint, request.clip, request.conversation, request.form, drafts)
        except Exception as wrong:  # noqa: BLE001 - whatever is wrong with one request must not end the others
            self.end(request, _as_answer(wrong, request))
            return
        turn = _InFlight(request, sequence.cache, sequence.write())
        self._in_flight.append(turn)
        self._go_on(turn, None)

    def step(self) -> None:
        """One forward for those whose turn it is, and the events that come of it."""
        turns = self._next()
        feeds = [self._piece(turn) for turn in turns]
        for turn, feed, outcome in zip(turns, feeds, self._run(turns, feeds), strict=True):
            if isinstance(outcome, Exception):
                self._end(turn, _as_answer(outcome, turn.request))
            elif turn.feed is feed:
                self._go_on(turn, outcome)
            else:
                assert turn.feed is not None
                turn.feed = turn.feed.cut(len(feed.token_ids))[1]
        # Whoever was left out comes first the next time.
        self._in_flight.sort(key=lambda turn: turn in turns)

    def drop_cancelled(self) -> None:
        """End those in flight that were cancelled; their caches go with them."""
        for turn in [turn for turn in self._in_flight if turn.request.is_cancelled]:
            self._end(turn, None)

    def end(self, request: Request, *told: Told) -> None:
        """Tell the request's last events."""
        self.forget(request.request_id)
        _tell(request, told)

    def _next(self) -> list[_InFlight]:
        """All with little to read, and one with much: the most urgent, of these the one that has waited longest.

        Nobody whose clip is still being seen; waits if that is true of all.
        """
        new = [turn for turn in self._in_flight if turn.cache.memory is None]
        waiting = {key for turn in new for key in turn.cache.prompt.clip.group_keys}
        is_alone = len(self._in_flight) == 1
        for turn in new:
            # Again right before it is read: others may have begun like it by then.
            if turn.feed and (not turn.is_begun or self.runner.is_ready(turn.cache)):
                turn.is_begun = True
                turn.feed = self.runner.resume(turn.cache, turn.feed, is_alone=is_alone, waiting=waiting)
        while not (ready := [turn for turn in self._in_flight if self.runner.is_ready(turn.cache)]):
            self.runner.wait()
        short = [turn for turn in ready if turn.feed and len(turn.feed.token_ids) <= SHORT_TOKENS]
        long = [turn for turn in ready if turn not in short]
        chosen = [*short, *sorted(long, key=lambda turn: -turn.request.priority)[:1]]
        return chosen[: self.runner.most_at_once] if self.runner.most_at_once else chosen

    def _piece(self, turn: _InFlight) -> Feed:
        """What is read of the feed in this step."""
        assert turn.feed is not None
        others = len(self._in_flight) > 1
        if others and self.runner.reads_in_pieces and turn.feed.chain_length > PIECE_TOKENS:
            return turn.feed.cut(PIECE_TOKENS)[0]
        return turn.feed

    def _run(self, turns: Sequence[_InFlight], feeds: Sequence[Feed]) -> list[torch.Tensor | Exception]:
        """Logits for each; where the forward fails, every turn is tried alone, so that only the culprit fails."""
        try:
            return [*self.runner.run([(turn.cache, feed) for turn, feed in zip(turns, feeds, strict=True)])]
        except Exception as failure:  # noqa: BLE001 - whatever is wrong with one request must not end the others
            if len(turns) == 1:
                return [failure]
        outcomes: list[torch.Tensor | Exception] = []
        for turn, feed in zip(turns, feeds, strict=True):
            outcomes += self._run([turn], [feed])
        return outcomes

    def _go_on(self, turn: _InFlight, logits: torch.Tensor | None) -> None:
        """Tell what the logits make certain, up to the next feed or the end of the answer."""
        told: list[Told] = []
        try:
            item = turn.making.send(logits)
            while not isinstance(item, Feed | Finished):
                told.append(item)
                item = next(turn.making)
        except Exception as wrong:  # noqa: BLE001 - as above
            self._end(turn, *told, _as_answer(wrong, turn.request))
            return
        if isinstance(item, Finished):
            self._end(turn, *told, replace(item, warnings=self.runner.warnings))
            return
        turn.feed = item
        if told and not turn.request.is_cancelled:
            _tell(turn.request, told)

    def _end(self, turn: _InFlight, *told: Told) -> None:
        self._in_flight.remove(turn)
        self.end(turn.request, *told)


def _tell(request: Request, told: Sequence[Told]) -> None:
    try:
        request.on_events(told)
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
