"""Serving: the process of vLLM's core. Between two of its steps the forms of all answers are walked, so that what is
asked next is in the next step."""

import logging
import os
import queue
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread

import torch
from vllm import SamplingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.platforms import current_platform
from vllm.v1.engine import EngineCoreOutput
from vllm.v1.engine.core import EngineCore
from vllm.v1.executor import Executor
from vllm.v1.request import Request

from assay.decoding.event_stream import EngineEvent, Stage
from assay.decoding.sequence import Sequence
from assay.errors import AssayError, CheckpointError, InvalidRequest, ModelUnavailable, OutOfTime
from assay.qwen2_vl.model_info import ModelInfo, read_model_info
from assay.rpc.environment import set_for_children
from assay.vllm.asking import CoreAsker
from assay.vllm.inputs import ClipInput
from assay.vllm.messages import (
    STOPPED,
    CoreCancel,
    CoreCounters,
    CoreNews,
    CoreProgress,
    CoreReady,
    CoreRequest,
    VllmOptions,
    is_end,
)
from assay.vllm.scheduling import BranchScheduler
from assay.vllm.support import stored_dtype

_log = logging.getLogger(__name__)

BLOCK_TOKENS, CPU_BLOCK_TOKENS = 16, 32
"""Of the prefix cache, the fewest that vLLM's attention takes. What stands in a block that is not full is read again
with every branch."""
SEQUENCES_PER_ANSWER = 4
"""A session, and branches that vLLM reads next to it."""
GPU_MEMORY = 0.9
"""Part of a GPU's memory that is taken; what weights leave of it is KV cache."""
FITTING = -1
"""vLLM's word for the longest sequence that its KV cache holds."""
ONE_PROCESS = "vllm.v1.executor.uniproc_executor.UniProcExecutor"
"""Core and worker in one process. By this name, since vLLM makes "uni" two of them on a CPU, so that it can bind their
threads to cores; the core then takes a core of its own to wait for its worker, actively."""


def serve(descriptor: int) -> None:
    """Over a connection: hears the checkpoint's directory and the options, and says CoreReady or an AssayError; then
    hears CoreRequest and CoreCancel, and says CoreNews. Ends when the connection does."""
    connection = Connection(descriptor)
    directory, options = connection.recv()
    # Who started it ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        model = read_model_info(directory)
        core = load_core(directory, options)
    except AssayError as wrong:
        connection.send(wrong)
        return
    except (RuntimeError, ValueError, OSError) as failure:
        connection.send(CheckpointError(f"vLLM does not start with this checkpoint: {failure}"))
        return
    # As many as its KV cache holds, which vLLM knows once it has started.
    model = replace(model, max_tokens=core.vllm_config.model_config.max_model_len)
    warm_up(core, model)
    connection.send(CoreReady(model.fingerprint))
    AnswerLoop(core, model, options.max_in_flight, connection).run()


def load_core(directory: Path, options: VllmOptions) -> EngineCore:
    is_cpu = current_platform.is_cpu()
    arguments = AsyncEngineArgs(
        model=str(directory),
        dtype=stored_dtype(directory),
        max_model_len=options.max_model_tokens or FITTING,
        max_num_seqs=options.max_in_flight * SEQUENCES_PER_ANSWER,
        block_size=CPU_BLOCK_TOKENS if is_cpu else BLOCK_TOKENS,
        tensor_parallel_size=options.tensor_parallel,
        distributed_executor_backend=ONE_PROCESS if options.tensor_parallel == 1 else None,
        gpu_memory_utilization=GPU_MEMORY / options.engines_per_gpu,
        kv_cache_memory_bytes=options.cpu_cache_mib << 20 if is_cpu else None,
        scheduling_policy="priority",
        scheduler_cls=BranchScheduler,
        # What is asked next depends on what a step has answered.
        async_scheduling=False,
        enable_prefix_caching=True,
        logprobs_mode="processed_logprobs",
        max_logprobs=-1,
        limit_mm_per_prompt={"image": 1, "video": 1},
        load_format="safetensors",
        # It gets pixels that are normalised as in our own engine, and from this process alone.
        mm_device_do_normalize=False,
        mm_processor_cache_gb=0,
        # Graphs are captured on a GPU; on a CPU compiling takes longer than it saves.
        enforce_eager=is_cpu,
    )
    # On a CPU it compiles the rank of a token, which nobody asks for, anew for every other size of batch: seconds each.
    torch._dynamo.config.disable = is_cpu
    with set_for_children({"TORCHDYNAMO_DISABLE": "1"} if is_cpu else {}):
        config = arguments.create_engine_config()
        return EngineCore(config, Executor.get_class(config), False, executor_fail_callback=lambda: os._exit(1))


def warm_up(core: EngineCore, model: ModelInfo) -> None:
    """One decision, before anyone waits for it: what vLLM compiles for log-probabilities is compiled."""
    params = SamplingParams(max_tokens=1, temperature=0, logprobs=1, logprob_token_ids=[0], detokenize=False)
    prompt = model.text.encode("Rate this image.")
    core.scheduler.add_request(Request("warm-up", prompt, params, None, block_hasher=core.request_block_hasher))
    while core.scheduler.has_unfinished_requests():
        core.step_fn()


class AnswerLoop:
    """Advances all answers together."""

    def __init__(self, core: EngineCore, model: ModelInfo, max_in_flight: int, connection: Connection) -> None:
        self._core, self._scheduler, self._model = core, core.scheduler, model
        self._max_in_flight, self._connection = max_in_flight, connection
        self._pads = frozenset({model.text.special.image_pad, model.text.special.video_pad})
        self._inbox: queue.SimpleQueue[CoreRequest | CoreCancel | None] = queue.SimpleQueue()
        self._waiting: list[CoreRequest] = []
        self._running: dict[str, CoreRequest] = {}
        self._askers: dict[str, CoreAsker] = {}
        self._held: list[str] = []
        """Running ones that have given up their memory until another has ended."""
        self._progress: list[CoreProgress] = []
        self._prefix_tokens_found = 0

    def run(self) -> None:
        """Returns when nobody listens any more."""
        Thread(target=self._receive, daemon=True).start()
        while self._take_in():
            self._end_late()
            self._admit()
            outputs, is_executed = self._core.step_fn()
            for output in outputs[0].outputs if outputs else ():
                self._hear(output)
            if not is_executed:
                self._make_room()
            self._report()

    def _receive(self) -> None:
        """On a thread of its own, so that a sender never waits for a step."""
        try:
            while True:
                self._inbox.put(self._connection.recv())
        except (EOFError, OSError):
            self._inbox.put(None)

    def _take_in(self) -> bool:
        """Waits while there is nothing to do. False if nothing more can come."""
        waits = not self._askers and not self._waiting
        while True:
            try:
                message = self._inbox.get(block=waits)
            except queue.Empty:
                return True
            waits = False
            if message is None:
                return False
            if isinstance(message, CoreRequest):
                self._waiting.append(message)
            else:
                self._cancel(message.request_id)

    def _cancel(self, request_id: str) -> None:
        waiting = [each for each in self._waiting if each.request_id != request_id]
        if request_id in self._running or len(waiting) < len(self._waiting):
            self._waiting = waiting
            self._emit(request_id, "queue", [None])

    def _end_late(self) -> None:
        now = time.monotonic()
        for each in [each for each in self._running.values() if each.deadline_seconds < now]:
            late = OutOfTime("the model cannot end this in time; allow more time")
            self._emit(each.request_id, "decode steps", [late])

    def _admit(self) -> None:
        """As many as there is room for, the most urgent first."""
        room = self._max_in_flight - len(self._running)
        for _ in range(min(len(self._waiting), room)):
            first = max(self._waiting, key=lambda each: each.priority)
            self._waiting.remove(first)
            self._running[first.request_id] = first
            self._advance(first.request_id, "prefill", partial(self._begin, first))

    def _begin(self, request: CoreRequest) -> list[EngineEvent]:
        sequence = Sequence.begin(self._model, request.clip, request.conversation, request.form)
        clip = ClipInput(sequence.prompt, self._pads)
        if clip.tokens > (most := self._scheduler.encoder_cache_manager.cache_size):
            raise InvalidRequest(f"the frames have {clip.tokens} tokens, and the model reads {most} at once")
        asker = CoreAsker(self._core, request.request_id, sequence, clip, priority=request.priority)
        self._askers[request.request_id] = asker
        return asker.advance()

    def _hear(self, output: EngineCoreOutput) -> None:
        request_id = output.request_id.rpartition("-")[0]
        # Others' outputs of the same step may have ended it.
        if asker := self._askers.get(request_id):
            self._advance(request_id, "decode steps", lambda: asker.advance() if asker.hear(output) else [])

    def _advance(self, request_id: str, stage: Stage, step: Callable[[], list[EngineEvent]]) -> None:
        try:
            events = step()
        except AssayError as wrong:
            events = [wrong]
        except Exception:  # noqa: BLE001 - whatever is wrong with one request must not end the others
            _log.exception("a generation failed", extra={"facts": {"request_id": request_id}})
            events = [ModelUnavailable(STOPPED)]
        self._emit(request_id, stage, events)

    def _emit(self, request_id: str, stage: Stage, events: list[EngineEvent]) -> None:
        self._progress.append(CoreProgress(request_id, stage, tuple(events)))
        if not events or not is_end(events[-1]):
            return
        self._running.pop(request_id, None)
        if asker := self._askers.pop(request_id, None):
            asker.close()
            self._prefix_tokens_found += asker.cached_tokens
        held, self._held = self._held, []
        for each in held:
            if each in self._askers:
                self._askers[each].ask()

    def _make_room(self) -> None:
        """What waits for memory gets some of another's: vLLM takes none from a session that has nothing to read."""
        asking = [asker for asker in self._askers.values() if asker.is_asking]
        if idle := [asker for asker in asking if asker.has_idle_session]:
            for asker in idle:
                asker.end_session()
        elif len(asking) > 1:
            asking[-1].close()
            self._held.append(asking[-1].request_id)
        elif asking:
            too_long = ModelUnavailable("the model's memory does not hold this answer")
            self._emit(asking[0].request_id, "decode steps", [too_long])

    def _report(self) -> None:
        if self._progress:
            running, waiting = len(self._running), len(self._waiting)
            counters = CoreCounters(self._prefix_tokens_found, running, waiting)
            # Nobody may listen any more: `_receive` finds that out.
            with suppress(OSError):
                self._connection.send(CoreNews(tuple(self._progress), counters))
        self._progress.clear()
