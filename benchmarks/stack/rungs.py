"""Rungs: one picture judged by more and more of what is served. All of them ask the model the same three things."""

import asyncio
import io
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from assay.checkpoint import ModelSpec
from assay.client import AsyncClient
from assay.cot import Reasoning
from assay.form import Form
from assay.frame import Clip
from assay.generator import Conversation, Event, Generator
from assay.transcript import Transcript
from benchmarks.stack.processor import Cpu, cpu_seconds, cpu_since
from services.attribute_extraction.extract import extract
from services.scoring.score import FinalScore, score_clip

Judged = tuple[str, float]
"""The reasoning as it was written, and the score."""


@dataclass(frozen=True, slots=True)
class BenchmarkPicture:
    """One that is to be judged."""

    clip: Clip
    file: bytes
    """The same as a PNG: what a client has before it asks anything."""

    @classmethod
    def of(cls, clip: Clip) -> "BenchmarkPicture":
        held = io.BytesIO()
        Image.fromarray(clip.frames[0].pixels).save(held, "PNG", compress_level=1)
        return cls(clip, held.getvalue())


Judge = Callable[[BenchmarkPicture], Awaitable[Judged]]


@dataclass(frozen=True, slots=True)
class OfTenant:
    """Implements Generator: another one, asked in a name of its own, so that it finds nothing of other rungs' again."""

    generator: Generator
    tenant: str

    async def generate(self, clip: Clip, conversation: Conversation, form: Form) -> AsyncGenerator[Event, None]:
        asked = replace(conversation, tenant=self.tenant)
        async with aclosing(self.generator.generate(clip, asked, form)) as events:
            async for event in events:
                yield event


def by_generator(generator: Generator, checkpoint: ModelSpec) -> Judge:
    """What both services do, in this process: the early score next to the reasoning, and the reasoned one after it."""

    async def judge(picture: BenchmarkPicture) -> Judged:
        transcript: asyncio.Future[Transcript] = asyncio.get_running_loop().create_future()

        async def written() -> Transcript:
            return await transcript

        async def reasoned() -> str:
            text = ""
            async for each in extract(generator, checkpoint, "regular", picture.clip):
                if isinstance(each, Reasoning):
                    text += each.text
                elif isinstance(each, Transcript):
                    transcript.set_result(each)
            return text

        async def scored() -> float:
            async for each in score_clip(generator, checkpoint, "regular", picture.clip, written):
                if isinstance(each, FinalScore):
                    return each.score.value
            raise AssertionError("score_clip ends in FinalScore or raises")

        text, score = await asyncio.gather(reasoned(), scored())
        return text, score

    return judge


def by_client(client: AsyncClient) -> Judge:
    """The file through all programs."""

    async def judge(picture: BenchmarkPicture) -> Judged:
        judgement = await client.score(picture.file)
        return judgement.windows[0].reasoning, judgement.score.value

    return judge


@dataclass
class StackRun:
    """What one rung did with some pictures."""

    seconds: float
    latencies: list[float] = field(default_factory=list)
    judged: list[Judged] = field(default_factory=list)
    cpu: Cpu = field(default_factory=dict)
    """Processor seconds by program."""

    @property
    def cpu_seconds(self) -> float:
        """Of all programs."""
        return sum(self.cpu.values())

    def agrees_with(self, other: "StackRun") -> bool:
        """The same words, and scores that differ by less than the wire rounds."""
        return all(
            mine[0] == theirs[0] and np.isclose(mine[1], theirs[1], atol=1e-6)
            for mine, theirs in zip(self.judged, other.judged, strict=True)
        )


async def measure(judge: Judge, pictures: Sequence[BenchmarkPicture], in_flight: int) -> StackRun:
    """All of them, so many at a time."""
    gate = asyncio.Semaphore(in_flight)

    async def one(picture: BenchmarkPicture) -> tuple[Judged, float]:
        async with gate:
            started = time.perf_counter()
            judged = await judge(picture)
            return judged, time.perf_counter() - started

    cpu_before, started = cpu_seconds(), time.perf_counter()
    found = await asyncio.gather(*map(one, pictures))
    latencies, judged = [took for _, took in found], [judged for judged, _ in found]
    took = time.perf_counter() - started
    return StackRun(took, latencies, judged, cpu_since(cpu_before))
