"""VllmEngine: a Generator over vLLM's AsyncLLM, on an event loop and a thread of its own."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from vllm import SamplingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.inputs.engine import tokens_input
from vllm.platforms import current_platform
from vllm.v1.engine.exceptions import EngineDeadError

from assay.decoding.event_stream import CLOSING, CallbackEngine, EngineEvent, EngineRequest
from assay.decoding.sequence import Sequence as Answering
from assay.decoding.token_tree import TokenTree
from assay.errors import AssayError, ModelUnavailable, OutOfTime
from assay.generator import Finished
from assay.qwen2_vl.model_info import ModelInfo, read_model_info
from assay.vllm.asking import TreeAsker
from assay.vllm.core import Leash, start
from assay.vllm.inputs import ClipInput
from assay.vllm.support import check_checkpoint, check_release, stored_dtype

_log = logging.getLogger(__name__)

BLOCK_TOKENS, CPU_BLOCK_TOKENS = 16, 32
"""Of the prefix cache, the fewest that vLLM's attention takes. What stands in a block that is not full is read again
with every decision."""
SEQUENCES_PER_ANSWER = 4
"""Digit prefixes that vLLM reads side by side."""
GPU_MEMORY = 0.9
"""Part of a GPU's memory that is taken; what weights leave of it is KV cache."""
FITTING = -1
"""vLLM's word for the longest sequence that its KV cache holds."""
ONE_PROCESS = "vllm.v1.executor.uniproc_executor.UniProcExecutor"
"""Core and worker in one process. By this name, since vLLM makes "uni" two of them on a CPU, so that it can bind their
threads to cores; the core then takes a core of its own to wait for its worker, actively."""
_WATCH_SECONDS = 0.5
_STOPPED = "the model stopped while it wrote this answer; the same request may succeed again"

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class VllmOptions:
    """How vLLM is run."""

    max_in_flight: int = 8
    """Requests that are advanced together."""
    max_waiting: int = 32
    """Requests that wait until there is room; beyond them Busy."""
    max_model_tokens: int | None = None
    """Prompt and answer together; if None what the checkpoint can, or the KV cache if that holds less."""
    tensor_parallel: int = 1
    """GPUs that one model is spread over; on a CPU processes."""
    engines_per_gpu: int = 1
    """That share its memory."""


class VllmEngine(CallbackEngine):
    """A Generator whose model runs in a child process. Vision is part of the prefill."""

    def __init__(
        self, model: ModelInfo, arguments: AsyncEngineArgs, options: VllmOptions, on_death: Callable[[], None]
    ) -> None:
        super().__init__(options.max_in_flight + options.max_waiting)
        self.checkpoint_fingerprint = model.fingerprint
        """Hash over weights, tokeniser and configuration: who wrote an answer."""
        self._options, self._on_death = options, on_death
        self._pads = frozenset({model.text.special.image_pad, model.text.special.video_pad})
        self._waiting: list[EngineRequest] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """Of requests that have begun: a task that is cancelled before its first step would never end its request."""
        self._running = 0
        self._prefix_tokens_found = 0
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="assay-vllm", daemon=True)
        self._thread.start()
        self._leash = Leash()
        try:
            self._llm = self._on_loop(start(arguments, self._leash.folder))
        except BaseException:
            self._leash.let_go()
            raise
        self._leash.hold(self._llm)
        # As many as its KV cache holds, which vLLM knows once it has started.
        self._model = replace(model, max_tokens=self._llm.model_config.max_model_len)
        self._on_loop(self._warm_up())
        self._watching = asyncio.run_coroutine_threadsafe(self._watch(), self._loop)

    @classmethod
    def load(
        cls, directory: Path, options: VllmOptions | None = None, *, on_death: Callable[[], None] = lambda: None
    ) -> "VllmEngine":
        """Start vLLM with the checkpoint in a directory. `on_death` is called if its process ends by itself.

        CheckpointError names the file or key at fault, and what vLLM would not run as it was trained; SettingsError a
        vLLM of a release that was not tested.
        """
        directory, options = Path(directory), options or VllmOptions()
        check_release()
        model = read_model_info(directory)
        check_checkpoint(directory, options.tensor_parallel)
        arguments = AsyncEngineArgs(
            model=str(directory),
            dtype=stored_dtype(directory),
            max_model_len=options.max_model_tokens or FITTING,
            max_num_seqs=options.max_in_flight * SEQUENCES_PER_ANSWER,
            block_size=CPU_BLOCK_TOKENS if current_platform.is_cpu() else BLOCK_TOKENS,
            tensor_parallel_size=options.tensor_parallel,
            distributed_executor_backend=ONE_PROCESS if options.tensor_parallel == 1 else None,
            gpu_memory_utilization=GPU_MEMORY / options.engines_per_gpu,
            scheduling_policy="priority",
            enable_prefix_caching=True,
            logprobs_mode="processed_logprobs",
            max_logprobs=-1,
            limit_mm_per_prompt={"image": 1, "video": 1},
            load_format="safetensors",
            # Nobody reads vLLM's own metrics, which it would keep for every request.
            disable_log_stats=True,
            # It gets pixels that are normalised as in our own engine.
            mm_device_do_normalize=False,
            # Graphs are captured on a GPU; on a CPU compiling takes longer than it saves.
            enforce_eager=current_platform.is_cpu(),
        )
        return cls(model, arguments, options, on_death)

    @property
    def counters(self) -> Mapping[str, int]:
        """As the other engine's: of the tokens of all requests to vLLM, how many were cached; and what is in flight."""
        found, waiting = self._prefix_tokens_found, len(self._waiting)
        return {"prefix_tokens_found": found, "running": self._running, "waiting": waiting}

    def _take_in(self, request: EngineRequest) -> None:
        self._loop.call_soon_threadsafe(self._admit, request)

    def cancel(self, request_id: str) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cancel, request_id)

    def close(self) -> None:
        """Stop vLLM. Requests that are not finished end in ModelUnavailable. May be called twice."""
        with self._news:
            if self._is_closed:
                return
            self._is_closed = True
        self._watching.cancel()
        self._on_loop(self._end_all())
        self._loop.call_soon_threadsafe(self._llm.shutdown)
        self._leash.let_go()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _on_loop(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _warm_up(self) -> None:
        """One decision, before anyone waits for it: what vLLM compiles for log-probabilities is compiled."""
        params = SamplingParams(max_tokens=1, temperature=0, logprobs=1, logprob_token_ids=[0], detokenize=False)
        prompt = tokens_input(self._model.text.encode("Rate this image."))
        async for _ in self._llm.generate(prompt, params, "warm-up"):
            pass

    async def _watch(self) -> None:
        while not self._llm.errored:  # noqa: ASYNC110 - vLLM has no event for it
            await asyncio.sleep(_WATCH_SECONDS)
        _log.error("vLLM's process has ended by itself")
        self._on_death()

    def _admit(self, generation: EngineRequest | None = None) -> None:
        """On the loop: as many as there is room for, the most urgent first."""
        if generation is not None:
            self._waiting.append(generation)
        while self._waiting and self._running < self._options.max_in_flight:
            first = max(self._waiting, key=lambda each: each.priority)
            self._waiting.remove(first)
            self._running += 1
            self._loop.create_task(self._run(first))

    def _cancel(self, request_id: str) -> None:
        generation = self._requests.get(request_id)
        if generation is None:
            return
        generation.is_cancelled = True
        if task := self._tasks.get(request_id):
            task.cancel()
        elif generation in self._waiting:
            self._waiting.remove(generation)
            self._end(generation, None)

    async def _run(self, generation: EngineRequest) -> None:
        last: Sequence[EngineEvent]
        if task := asyncio.current_task():
            self._tasks[generation.request_id] = task
        try:
            if generation.is_cancelled:
                raise asyncio.CancelledError
            left_seconds = generation.deadline_seconds - time.monotonic()
            async with asyncio.timeout(None if math.isinf(left_seconds) else left_seconds):
                last = await self._write(generation)
        except TimeoutError:
            last = [OutOfTime("the model cannot end this in time; allow more time")]
        except asyncio.CancelledError:
            last = [ModelUnavailable(CLOSING) if self._is_closed else None]
        except AssayError as wrong:
            last = [wrong]
        except EngineDeadError:
            last = [ModelUnavailable(_STOPPED)]
        except Exception:  # noqa: BLE001 - whatever is wrong with one request must not end the others
            _log.exception("a generation failed", extra={"facts": {"request_id": generation.request_id}})
            last = [ModelUnavailable(_STOPPED)]
        self._running -= 1
        self._tasks.pop(generation.request_id, None)
        self._end(generation, *last)
        self._admit()

    async def _write(self, generation: EngineRequest) -> Sequence[EngineEvent]:
        """Emits events as they become certain; returns the last ones."""
        asks = generation.clip, generation.conversation, generation.form
        sequence = Answering.begin(self._model, *asks)
        clip = ClipInput(sequence.prompt, self._pads)
        # vLLM takes the lowest number first.
        asker = TreeAsker(self._llm, generation.request_id, clip, priority=-generation.priority, model=self._model)
        decoding, answers, events = sequence.write(), None, list[EngineEvent]()
        generation.stages.begin("prefill")
        try:
            while True:
                item = decoding.send(answers)
                answers = None
                if isinstance(item, TokenTree):
                    if events:
                        generation.on_events(events)
                    events = []
                    answers = await asker.ask(item)
                    generation.stages.begin("decode steps")
                else:
                    events.append(item)
                    if isinstance(item, Finished):
                        return events
        finally:
            await asker.close()
            self._prefix_tokens_found += asker.cached_tokens

    def _end(self, generation: EngineRequest, *events: EngineEvent) -> None:
        generation.stages.begin(None)
        with self._news:
            self._requests.pop(generation.request_id, None)
        try:
            generation.on_events(events)
        except Exception:  # noqa: BLE001 - whatever is wrong with one listener must not end the others
            # Most often it has left: a closed event loop, a broken connection.
            _log.warning("its listener failed", exc_info=True, extra={"facts": {"request_id": generation.request_id}})

    async def _end_all(self) -> None:
        for generation in [*self._waiting]:
            self._end(generation, ModelUnavailable(CLOSING))
        self._waiting.clear()
        for generation in self._requests.values():
            generation.is_cancelled = True
        tasks = [*self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
