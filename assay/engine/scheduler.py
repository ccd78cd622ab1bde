"""Scheduler: continuous batching. All running answers advance with every forward; of long prompts, one chunk does."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch

from assay.decoding.event_stream import EngineEvent, EngineRequest
from assay.decoding.lookahead import Decoding
from assay.decoding.sequence import Sequence as Answer
from assay.decoding.speculation import Speculation
from assay.decoding.token_tree import TokenTree
from assay.engine.kv_cache import SequenceState
from assay.engine.model_runner import Logits, ModelRunner
from assay.errors import AssayError, ModelUnavailable, OutOfTime
from assay.form import Digits, Literal
from assay.generator import Finished
from assay.qwen2_vl.model_info import ModelInfo

_log = logging.getLogger(__name__)

CHUNK_TOKENS = 256
"""A longer tree is read in chunks of this size while others are running, so that they need not wait for all of it."""
_FORGETTING = 1.1
"""By which the quickest forward counts as slower with each one that follows."""
SHORT_TOKENS = 64
"""Trees up to this length take part in every forward; of the longer ones a single one does."""
FEW_RUNNING, MOST_WAITS = 2, 8
"""With so few in flight, as for one photo alone, a number is written before another prompt is read, which waits for so
many forwards at most. With more of them a forward for all is cheaper than one for a number by itself."""


@dataclass(slots=True, eq=False)
class _Running:
    """A request whose answer is being made."""

    request: EngineRequest
    state: SequenceState
    decoding: Decoding
    tree: TokenTree | None = None
    """What is to be read next; None before it has begun."""
    has_begun: bool = False
    """ModelRunner.begin was called."""
    has_logits: bool = False
    """Its prompt was read."""
    waits: int = 0
    """Forwards that its prompt has waited for."""

    @property
    def is_number(self) -> bool:
        """Nothing is written but a number: somebody waits for it as for the first sign of an answer."""
        return all(isinstance(segment, Literal | Digits) for segment in self.request.form)


@dataclass(slots=True, eq=False)
class Scheduler:
    """Advances the running requests; lives on the engine's thread."""

    model: ModelInfo
    runner: ModelRunner
    forget: Callable[[str], None]
    """Called with the id of a request right before its last event."""
    speculation: Speculation = field(default_factory=Speculation)
    quickest_step_seconds: float = field(default=0.0, init=False)
    """Of the last forwards: no answer that lacks one takes less."""
    batch: int = field(default=0, init=False)
    """Sequences in the last forward."""
    _running: list[_Running] = field(default_factory=list, init=False)
    """Those that have waited longest come first."""

    @property
    def is_idle(self) -> bool:
        return not self._running

    @property
    def running(self) -> int:
        """Requests in flight."""
        return len(self._running)

    def admit(self, request: EngineRequest) -> None:
        """Take a request in flight; what is wrong with it becomes its last event."""
        request.stages.begin("vision")
        try:
            answer = Answer.begin(self.model, request.clip, request.conversation, request.form, self.speculation)
        except Exception as wrong:  # noqa: BLE001 - whatever is wrong with one request must not end the others
            self.end(request, _as_error(wrong, request))
            return
        running = _Running(request, SequenceState(answer.prompt), answer.write())
        self._running.append(running)
        self._advance(running, None)

    def step(self) -> None:
        """One forward for those whose turn it is, and the events that come of it."""
        batch = self._next_batch()
        encoded = [self.runner.encode(running.state, running.tree) for running in batch if running.tree]
        if any(encoded):
            # That took long: who has come meanwhile may ask for a number alone about the same clip.
            return
        trees = [self._chunk(running) for running in batch]
        for running in batch:
            running.request.stages.begin("decode steps" if running.has_logits else "prefill")
        began, outcomes = time.monotonic(), self._run(batch, trees)
        step_seconds, self.batch = time.monotonic() - began, len(batch)
        self.quickest_step_seconds = min(step_seconds, self.quickest_step_seconds * _FORGETTING or step_seconds)
        for running, tree, outcome in zip(batch, trees, outcomes, strict=True):
            if isinstance(outcome, Exception):
                self._end(running, _as_error(outcome, running.request))
            elif running.tree is tree:
                self._advance(running, outcome)
            else:
                assert running.tree is not None
                running.tree = running.tree.split(len(tree.token_ids))[1]
        # Sequences that were left out come first the next time.
        self._running.sort(key=lambda running: running in batch)

    def drop_unwanted(self) -> None:
        """End those that were cancelled, and those that cannot end in time."""
        for running in [*self._running]:
            if self.is_unwanted(running.request):
                self._end(running, self.why_unwanted(running.request))

    def is_unwanted(self, request: EngineRequest) -> bool:
        """Nobody will hear its end."""
        return request.is_cancelled or time.monotonic() + self.quickest_step_seconds > request.deadline_seconds

    def why_unwanted(self, request: EngineRequest) -> OutOfTime | None:
        """Its last event."""
        return None if request.is_cancelled else OutOfTime("the model cannot end this in time; allow more time")

    def end(self, request: EngineRequest, *events: EngineEvent) -> None:
        """Emit the request's last events."""
        request.stages.begin(None)
        self.forget(request.request_id)
        _emit(request, events)

    def _next_batch(self) -> list[_Running]:
        """All with a short tree, and one with a long one: the most urgent, of these the one that has waited longest.

        None whose clip is still being encoded; waits if that is true of all.
        """
        new = [running for running in self._running if running.state.slot is None]
        waiting = {key for running in new for key in running.state.prompt.clip.group_keys}
        for running in new:
            # Again right before it is read: others may have begun like it by then.
            if running.tree and (not running.has_begun or self.runner.is_ready(running.state)):
                running.has_begun = True
                running.tree = self.runner.begin(running.state, running.tree, waiting=waiting)
        while not (ready := [running for running in self._running if self.runner.is_ready(running.state)]):
            self.runner.wait()
        short = [running for running in ready if running.tree and len(running.tree.token_ids) <= SHORT_TOKENS]
        long = [running for running in ready if running not in short]
        long.sort(key=lambda running: (-running.request.priority, not running.is_number))
        return self._numbers_first([*short, *long[:1]])

    def _numbers_first(self, chosen: list[_Running]) -> list[_Running]:
        """Without those that wait, before anything is read of them, for a number that is being written."""
        if len(self._running) > FEW_RUNNING or not any(running.is_number for running in chosen):
            return chosen
        held = [each for each in chosen if not (each.is_number or each.has_logits or each.waits >= MOST_WAITS)]
        for running in held:
            running.waits += 1
        return [running for running in chosen if running not in held]

    def _chunk(self, running: _Running) -> TokenTree:
        """What is read of the tree in this step."""
        assert running.tree is not None
        if len(self._running) > 1 and running.tree.chain_length > CHUNK_TOKENS:
            return running.tree.split(CHUNK_TOKENS)[0]
        return running.tree

    def _run(self, batch: Sequence[_Running], trees: Sequence[TokenTree]) -> list[torch.Tensor | Exception]:
        """Logits for each; where the forward fails, each is tried alone, so that only the culprit fails."""
        try:
            return [*self.runner.run([(running.state, tree) for running, tree in zip(batch, trees, strict=True)])]
        except Exception as failure:  # noqa: BLE001 - whatever is wrong with one request must not end the others
            if len(batch) == 1:
                return [failure]
        outcomes: list[torch.Tensor | Exception] = []
        for running, tree in zip(batch, trees, strict=True):
            outcomes += self._run([running], [tree])
        return outcomes

    def _advance(self, running: _Running, logits: torch.Tensor | None) -> None:
        """Emit what the logits make certain, up to the next tree or the end of the answer."""
        events: list[EngineEvent] = []
        running.has_logits = logits is not None
        try:
            item = running.decoding.send(None if logits is None else [Logits(row) for row in logits])
            while not isinstance(item, TokenTree | Finished):
                events.append(item)
                item = next(running.decoding)
        except Exception as wrong:  # noqa: BLE001 - as above
            self._end(running, *events, _as_error(wrong, running.request))
            return
        if isinstance(item, Finished):
            self._end(running, *events, replace(item, warnings=self.runner.warnings))
            return
        running.tree = item
        if events and not running.request.is_cancelled:
            _emit(running.request, events)

    def _end(self, running: _Running, *events: EngineEvent) -> None:
        self._running.remove(running)
        self.end(running.request, *events)


def _emit(request: EngineRequest, events: Sequence[EngineEvent]) -> None:
    try:
        request.on_events(events)
    except Exception:  # noqa: BLE001 - whatever is wrong with one listener must not end the others
        # Most often it has left: a closed event loop, a broken connection.
        _log.warning(
            "cancelled, as its listener failed", exc_info=True, extra={"facts": {"request_id": request.request_id}}
        )
        request.is_cancelled = True


def _as_error(wrong: Exception, request: EngineRequest) -> AssayError:
    """For the client; the log has the rest."""
    if isinstance(wrong, AssayError):
        return wrong
    _log.error("a generation failed", exc_info=wrong, extra={"facts": {"request_id": request.request_id}})
    return ModelUnavailable("the model failed while it wrote this answer; the same request may succeed again")
