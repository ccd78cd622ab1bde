"""The talk between the benchmark and its workers: a line of JSON each way. Imports nothing but the standard library.

The benchmark names a batch file (benchmarks/engine/batch.py) and how many requests may be in flight; the worker
answers with the seconds that all took, those of each, the CPU seconds of all its threads, and the texts.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

Answers = list[tuple[str, float]]
"""Of each request: its text, and the seconds from the start of its group to its end."""


Answer = Callable[[dict[str, Any], int], Answers]
"""A batch, and how many of it may be in flight."""


def serve(load: Callable[[], Answer], cpu_seconds: Callable[[], float] = time.process_time) -> None:
    """Load the engine, then answer until the benchmark hangs up. `cpu_seconds`: of all that the engine runs in."""
    # What libraries print, in whatever language, must not get between the lines.
    talk = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    answer = load()
    print(json.dumps({"ready": True}), file=talk, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        with open(asked["batch"], encoding="utf-8") as file:
            batch = json.load(file)
        started, cpu_started = time.perf_counter(), cpu_seconds()
        answers = answer(batch, asked["in_flight"])
        result = {
            "seconds": time.perf_counter() - started,
            "cpu_seconds": cpu_seconds() - cpu_started,
            "latencies": [took for _, took in answers],
            "texts": [text for text, _ in answers],
        }
        print(json.dumps(result), file=talk, flush=True)


def in_groups(requests: list[Any], size: int, run: Callable[[list[Any]], list[str]]) -> Answers:
    """For engines that take a list at once: so many together, and the next when all of these have ended."""
    answers: Answers = []
    for first in range(0, len(requests), size):
        group, started = requests[first : first + size], time.perf_counter()
        texts = run(group)
        took = time.perf_counter() - started
        answers += [(text, took) for text in texts]
    return answers
