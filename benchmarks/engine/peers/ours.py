"""Worker: assay.engine. `python -m benchmarks.engine.peers.ours CHECKPOINT THREADS CACHE_MIB NUMBER_FORMAT`."""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from assay.engine import Engine, EngineOptions
from assay.generator import Generator, Wrote
from benchmarks.engine.batch import read_batch
from benchmarks.engine.peers.worker import Answer, Answers, serve
from benchmarks.engine.workloads import Ask


def load() -> Answer:
    checkpoint, threads, cache_mib, number_format = sys.argv[1:]
    options = EngineOptions(
        threads=int(threads),
        cache_mib=int(cache_mib),
        max_waiting=64,
        number_format=number_format,  # type: ignore[arg-type]
    )
    engine = Engine.load(Path(checkpoint), options)

    def answer(batch: dict[str, Any], in_flight: int) -> Answers:
        return asyncio.run(answer_all(engine, read_batch(batch), in_flight))

    return answer


async def answer_all(engine: Generator, asked: list[Ask], in_flight: int) -> Answers:
    """Texts and seconds of each, so many at a time."""
    gate = asyncio.Semaphore(in_flight)

    async def one(ask: Ask) -> tuple[str, float]:
        async with gate:
            started = time.perf_counter()
            events = [event async for event in engine.generate(ask.clip, ask.conversation, ask.form)]
            text = "".join(event.text for event in events if isinstance(event, Wrote))
            return text, time.perf_counter() - started

    return await asyncio.gather(*map(one, asked))


if __name__ == "__main__":
    serve(load)
