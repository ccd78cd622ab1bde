"""Generator: the one port. It looks at a clip, is asked a question, and writes an answer in a given form.

`assay.engine` implements it in this process, `assay.triton` behind a Triton server. Both yield the same events.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from assay.form import Form
from assay.frame import Clip


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is asked about the clip, and what has been answered so far."""

    question: str
    """The user's turn, without the placeholder of the image or video (the engine puts the clip in front of it)."""
    system: str = "You are a helpful assistant."
    answered: tuple[str, ...] = ()
    """Assistant text that already stands, a text for each segment that wrote it, because text is tokenised segment by
    segment; the form goes on from there."""
    tenant: str = ""
    """Whose it is. What was read for one is found again for the same one alone, so that nobody can tell from the time
    that an answer takes what somebody else has asked about."""

    def __post_init__(self) -> None:
        if isinstance(self.answered, str):
            raise TypeError(f"answered is a tuple of texts, got the text {self.answered!r}")


@dataclass(frozen=True, slots=True)
class Wrote:
    """Text was added to the answer (forced or decoded); joined, all texts are the answer."""

    segment: str
    """Name of the segment; empty for a literal."""
    text: str


@dataclass(frozen=True, slots=True)
class Chose:
    """A choice was made. Its text was announced by Wrote before."""

    segment: str
    option: str
    probabilities: Mapping[str, float]
    """Probability of every option; they sum to 1."""


@dataclass(frozen=True, slots=True)
class NumberWritten:
    """A number was written. Its text was announced by Wrote before."""

    segment: str
    written: str
    """The number as written, "3.72"."""
    by_prefix: Mapping[str, tuple[float, ...]]
    """Digits so far, without the point ("" first, then "3", "37"), to ten probabilities of the next digit 0..9.
    Always holds every prefix of the written number; further ones where branch_probability asked for them."""


FinishReason = Literal["complete", "cut"]


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of a generation that was not cancelled."""

    reason: FinishReason
    """complete: every segment was filled and each free text met a stop. cut: a free text ran into max_tokens or
    the end-of-turn token before any of its stops."""
    checkpoint_fingerprint: str
    """Hash of weights and tokeniser that wrote this answer."""
    prompt_tokens: int
    answer_tokens: int
    warnings: tuple[str, ...] = ()
    """What a reader of the numbers should know of the machine that made them, in sentences; empty if nothing."""


Event = Wrote | Chose | NumberWritten | Finished


class Generator(Protocol):
    """Writes answers about clips. Several generations may be in flight; closing one cancels it."""

    def generate(self, clip: Clip, conversation: Conversation, form: Form) -> AsyncGenerator[Event, None]:
        """Events in the order in which the answer is written, Finished last.

        Raises InvalidRequest (the prompt is too long or cannot be tokenised), Busy, ModelUnavailable.
        """
        ...
