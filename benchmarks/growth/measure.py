"""CPU time of a sweep's requests on an engine in this process, and the least that this machine's peaks allow."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Polynomial

from assay.checkpoint import ModelSpec
from assay.engine import Engine
from assay.generator import Finished
from benchmarks.engine.roofline import Peaks
from benchmarks.engine.stages import ModelSums, Stage
from benchmarks.engine.workloads import Ask
from benchmarks.growth.sweeps import GrowthSweep, stream
from benchmarks.memory.__main__ import resident_mib

HOUR_PARTS = 8
"""Of the hours, after each of which memory is read."""


@dataclass(frozen=True, slots=True)
class GrowthPoint:
    """What one size of a sweep takes."""

    amount: float
    cpu_ms: float
    least_ms: float
    """The roofline."""


@dataclass(frozen=True, slots=True)
class HourPoint:
    """After so many hours of a video."""

    hours: float
    cpu_seconds: float
    """Since the beginning."""
    least_seconds: float
    resident_mib: float


@dataclass(frozen=True, slots=True)
class CurveFit:
    """A polynomial through points, by least squares."""

    curve: Polynomial
    determination: float
    """R squared: 1 if all points lie on it."""

    def __str__(self) -> str:
        powers = ("", " x", " x²")
        return " + ".join(
            f"{value:,.3g}{power}" for value, power in zip(self.curve.coef, powers, strict=False)
        ).replace("+ -", "- ")


def fit(amounts: Sequence[float], costs: Sequence[float], degree: int = 1) -> CurveFit:
    """ValueError if there are no more points than the polynomial has coefficients."""
    if len(set(amounts)) <= degree + 1:
        raise ValueError(f"a fit of degree {degree} needs more than {degree + 1} points, got {len(set(amounts))}")
    coefficients = np.polyfit(amounts, costs, degree)[::-1]
    curve = Polynomial(coefficients)
    costs_array = np.asarray(costs)
    residual = float(np.sum((costs_array - curve(np.asarray(amounts))) ** 2))
    return CurveFit(curve, 1.0 - residual / max(float(np.sum((costs_array - costs_array.mean()) ** 2)), 1e-12))


@dataclass(frozen=True, slots=True)
class Meter:
    """An engine, and what its machine can do at most."""

    engine: Engine
    served: ModelSpec
    sums: ModelSums
    peaks: Peaks
    """Of one core, in the engine's number format."""
    weight_bytes: int
    """Of one weight in that format."""

    def point(self, sweep: GrowthSweep, size: int, seed: int) -> GrowthPoint:
        """Cost of the requests of one size."""
        asked = sweep.asks(self.served, size, seed)
        cpu_seconds, answers = self._answered(asked, are_together=sweep.are_together)
        each = len(asked) if sweep.is_per_request else 1
        tokens = sum(answer.answer_tokens for answer in answers) / len(answers)
        least = self._least_seconds(asked, answers)
        return GrowthPoint(sweep.amount(size, tokens), 1e3 * cpu_seconds / each, 1e3 * least / each)

    def hours(self, hours: float) -> Iterator[HourPoint]:
        """A video of so many hours, window behind window, in parts."""
        windows = max(round(hours * 3600 / self.served.clip.seconds / HOUR_PARTS), 1)
        spent, least = 0.0, 0.0
        for part in range(HOUR_PARTS):
            asked = stream(self.served, windows, seed=part)
            cpu_seconds, answers = self._answered(asked, are_together=False)
            spent, least = spent + cpu_seconds, least + self._least_seconds(asked, answers)
            gone_by = (part + 1) * windows * self.served.clip.seconds / 3600
            yield HourPoint(gone_by, spent, least, resident_mib())

    def _answered(self, asked: Sequence[Ask], *, are_together: bool) -> tuple[float, list[Finished]]:
        async def one(ask: Ask) -> Finished:
            async for event in self.engine.generate(ask.clip, ask.conversation, ask.form):
                if isinstance(event, Finished):
                    return event
            raise AssertionError("generate() ends in Finished or raises")

        async def all_of_them() -> list[Finished]:
            if are_together:
                return [*await asyncio.gather(*map(one, asked))]
            return [await one(ask) for ask in asked]

        began = time.process_time()
        answers = asyncio.run(all_of_them())
        return time.process_time() - began, answers

    def _least_seconds(self, asked: Sequence[Ask], answers: Sequence[Finished]) -> float:
        """Every different pair of frames through the tower once, every token of prompt and answer once."""
        groups = {group for ask in asked for group in _groups(ask)}
        height_px, width_px, _ = asked[0].clip.frames[0].pixels.shape
        patch_px = self.served.pixels.patch_px
        tower = self.sums.tower(len(groups), (height_px // patch_px) * (width_px // patch_px))
        tokens = [answer.prompt_tokens + answer.answer_tokens for answer in answers]
        text = sum(self.sums.decode(1, count, count // 2) for count in tokens)
        weights = self.sums.tower_weights + self.sums.layers_weights + self.sums.head_weights
        moved = self.weight_bytes * weights + sum(map(len, groups))
        return self.peaks.seconds(Stage("", "", tower + text, moved, once=lambda: None))


def _groups(ask: Ask) -> Iterator[bytes]:
    """Bytes of each pair of frames."""
    frames = [frame.pixels.tobytes() for frame in ask.clip.frames]
    return (b"".join(frames[first : first + 2]) for first in range(0, len(frames), 2))
