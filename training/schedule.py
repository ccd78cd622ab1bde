"""Schedule: learning rates by the clock, because the time is what is given."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Schedule:
    """When training ends, and how fast each part learns at most."""

    began: float
    """time.time() seconds."""
    until: float
    tower_rate: float
    merger_rate: float
    language_rate: float
    tower_frozen_seconds: float = 0.0
    """The tower starts from good features; noise from a language model that knows nothing would ruin them."""
    tower_blocks_frozen: int = 0
    """The first so many blocks never learn, nor what is in front of them."""
    warm_up_seconds: float = 45.0
    stage_1_share: float = 0.3
    """Of the time; the rest, less what self-labelling takes, is stage 2's."""

    @property
    def stage_1_until(self) -> float:
        """time.time() seconds."""
        return self.began + (self.until - self.began) * self.stage_1_share

    def is_tower_frozen(self, now: float) -> bool:
        return now - self.began < self.tower_frozen_seconds

    def tower_factor(self, now: float) -> float:
        """Like factor, with a warm-up of its own when the tower begins to learn."""
        return self.factor(now) * min(1.0, max(0.0, now - self.began - self.tower_frozen_seconds) / 60)

    def factor(self, now: float) -> float:
        """Warm-up, then a cosine down to zero at the end, by the clock."""
        share = min(max((now - self.began) / (self.until - self.began), 0.0), 1.0)
        return min(1.0, (now - self.began + 5) / self.warm_up_seconds) * 0.5 * (1 + math.cos(math.pi * share))
