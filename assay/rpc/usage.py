"""What the current call has cost so far; every program counts its part, and tells it upwards in its last message."""

from contextvars import ContextVar
from dataclasses import dataclass

from assay.v1 import event_pb2

_NANOS = 1_000_000_000


@dataclass(slots=True)
class UsageMeter:
    """Shared by all tasks of a call."""

    received_bytes: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    queued_seconds: float = 0.0
    decoding_seconds: float = 0.0
    engine_seconds: float = 0.0

    def add_generation(self, prompt_tokens: int, answer_tokens: int, seconds: float) -> None:
        """A generation that has ended."""
        self.prompt_tokens += prompt_tokens
        self.answer_tokens += answer_tokens
        self.engine_seconds += seconds

    def add_upstream(self, usage: event_pb2.Usage) -> None:
        """What another program says that its part has cost."""
        self.add_generation(usage.prompt_tokens, usage.answer_tokens, usage.engine.ToNanoseconds() / _NANOS)

    def to_wire(self) -> event_pb2.Usage:
        """Without the frames, which are facts about the media."""
        usage = event_pb2.Usage(
            received_bytes=self.received_bytes, prompt_tokens=self.prompt_tokens, answer_tokens=self.answer_tokens
        )
        usage.queued.FromNanoseconds(round(self.queued_seconds * _NANOS))
        usage.decoding.FromNanoseconds(round(self.decoding_seconds * _NANOS))
        usage.engine.FromNanoseconds(round(self.engine_seconds * _NANOS))
        return usage


_meter: ContextVar[UsageMeter | None] = ContextVar("usage", default=None)


def begin_metering() -> UsageMeter:
    """A meter for the call that begins here."""
    meter = UsageMeter()
    _meter.set(meter)
    return meter


def usage_meter() -> UsageMeter:
    """The current call's; outside of any call one that nobody reads."""
    return _meter.get() or UsageMeter()
