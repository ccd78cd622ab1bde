"""Worker: assay.vllm. `python -m benchmarks.engine.peers.ours_on_vllm CHECKPOINT THREADS`, in vLLM's environment.

The number of threads is an environment variable as well: see process.py.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import psutil

from assay.vllm.engine import VllmEngine
from assay.vllm.messages import VllmOptions
from benchmarks.engine.batch import read_batch
from benchmarks.engine.peers.ours import answer_all
from benchmarks.engine.peers.worker import Answer, Answers, serve


def load() -> Answer:
    engine = VllmEngine.load(Path(sys.argv[1]), VllmOptions(max_in_flight=32, max_waiting=64, max_model_tokens=2048))

    def answer(batch: dict[str, Any], in_flight: int) -> Answers:
        return asyncio.run(answer_all(engine, read_batch(batch), in_flight))

    return answer


def cpu_seconds() -> float:
    """Of this process and of vLLM's, which are its children."""
    here = psutil.Process()
    return sum(sum(each.cpu_times()[:2]) for each in (here, *here.children(recursive=True)))


if __name__ == "__main__":
    serve(load, cpu_seconds)
