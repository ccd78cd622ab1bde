"""How far a benchmark of several rounds is, and when no other round may begin.

Rounds are counted in requests, as a round of many takes longer than one of few.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class RoundsProgress:
    """How far it is, by requests: of all rounds, and until when another one may begin."""

    round_requests: int
    rounds: int
    """The one that warms up is one of them."""
    limit_seconds: float
    began_seconds: float
    """By time.monotonic(), as `now_seconds` everywhere."""
    done: int = 0

    def after(self, what: str, requests: int, now_seconds: float) -> str:
        """A line for one more measurement."""
        self.done += requests
        whole, spent = self.round_requests * self.rounds, now_seconds - self.began_seconds
        left_minutes = spent / self.done * (whole - self.done) / 60
        return f"{self.done / whole:.0%}, {left_minutes:.1f} min left: {what}"

    def is_late(self, ended_rounds: int, now_seconds: float) -> bool:
        """One more round would end after the limit."""
        spent = now_seconds - self.began_seconds
        return ended_rounds < self.rounds and spent * (ended_rounds + 1) / ended_rounds > self.limit_seconds
