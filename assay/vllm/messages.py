"""Messages between the engine and vLLM's core, which is a process of its own."""

from dataclasses import dataclass

from assay.decoding.event_stream import EngineEvent, Stage
from assay.errors import AssayError
from assay.form import Form
from assay.frame import Clip
from assay.generator import Conversation, Finished

STOPPED = "the model stopped while it wrote this answer; the same request may succeed again"


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
    cpu_cache_mib: int = 1024
    """KV cache on a CPU; on a GPU it is what weights leave of the memory that vLLM takes."""


@dataclass(frozen=True, slots=True)
class CoreReady:
    """The core's first message, once the weights are loaded."""

    checkpoint_fingerprint: str


@dataclass(frozen=True, slots=True)
class CoreRequest:
    """One generation that was asked for; see EngineRequest."""

    request_id: str
    clip: Clip
    conversation: Conversation
    form: Form
    priority: int
    deadline_seconds: float


@dataclass(frozen=True, slots=True)
class CoreCancel:
    """A generation that nobody wants any more."""

    request_id: str


@dataclass(frozen=True, slots=True)
class CoreCounters:
    """Of the tokens of all of vLLM's prompts, how many were cached; and what is in flight."""

    prefix_tokens_found: int = 0
    running: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class CoreProgress:
    """What came of one generation in one step."""

    request_id: str
    stage: Stage
    events: tuple[EngineEvent, ...] = ()


def is_end(event: EngineEvent) -> bool:
    """True of the last one of a generation."""
    return event is None or isinstance(event, AssayError | Finished)


@dataclass(frozen=True, slots=True)
class CoreNews:
    """What came of one step."""

    progress: tuple[CoreProgress, ...]
    counters: CoreCounters
