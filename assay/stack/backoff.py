"""Backoff: how long to wait before what has failed is tried again, and when to stop trying."""

from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Counts failures in a row; a run of `calm_seconds` begins a new row."""

    first_seconds: float = 0.2
    longest_seconds: float = 10.0
    max_failures: int = 5
    calm_seconds: float = 30.0
    failures: int = 0

    def failed(self, ran_seconds: float) -> float:
        """Seconds to wait after a failure that followed `ran_seconds` of good service (0: it never came up)."""
        self.failures = 1 if ran_seconds >= self.calm_seconds else self.failures + 1
        return float(min(self.first_seconds * 2 ** (self.failures - 1), self.longest_seconds))

    @property
    def is_exhausted(self) -> bool:
        """Whether trying again is no longer likely to help."""
        return self.failures > self.max_failures
