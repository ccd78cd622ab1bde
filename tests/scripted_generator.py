"""ScriptedGenerator: a Generator without a model. It walks the form that it is given and writes its script.

It refuses a script that breaks the grammar, so that a test cannot pass on an answer that no engine would give.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field

from assay.errors import AssayError
from assay.form import Choice, Digits, Form, Free, Literal, Segment
from assay.frame import Clip
from assay.generator import Chose, Conversation, Event, Finished, FinishReason, NumberWritten, Wrote
from assay.rpc.call import Priority, priority

FINGERPRINT = "5c819ed5c819ed00"


@dataclass
class ScriptedGenerator:
    """What is written where. Segments that the script does not name get "a word", the first option, or zeros."""

    texts: Mapping[str, str] = field(default_factory=dict)
    """Free segment to its text."""
    choices: Mapping[str, str] = field(default_factory=dict)
    """Choice to the option taken, which gets a probability of 0.75."""
    direct: str = "3.72"
    """The number where nothing has been answered yet."""
    reasoned: str = "5.04"
    """The number after reasoning."""
    cut: str = ""
    """Free segment that runs into its limit; the form goes on after it, as an engine does."""
    failures: Mapping[str, AssayError] = field(default_factory=dict)
    """Segment to the error that comes in its place; "start" fails before anything is written."""
    fingerprint: str = FINGERPRINT
    warnings: tuple[str, ...] = ()
    """What is odd about the machine that it says it runs on."""
    gate: asyncio.Event | None = None
    """If given, every generation waits for it before its first named segment, as one waits for tokens."""

    asked: list[Conversation] = field(default_factory=list)
    clips: list[Clip] = field(default_factory=list)
    priorities: list[Priority] = field(default_factory=list)
    in_flight: int = 0
    abandoned: int = 0
    """Generations that were closed before they had finished."""
    began: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Some generation was finished, failed or closed."""

    async def ready(self) -> Finished:
        if "start" in self.failures:
            raise self.failures["start"]
        return self._finished("complete")

    async def generate(self, clip: Clip, conversation: Conversation, form: Form) -> AsyncGenerator[Event, None]:
        self.asked.append(conversation)
        self.clips.append(clip)
        self.priorities.append(priority.get())
        self.in_flight += 1
        self.began.set()
        is_finished = False
        try:
            self._fail("start")
            for segment in form:
                if not isinstance(segment, Literal):
                    await self._wait_for_tokens()
                    self._fail(segment.name)
                for event in self._written(segment, conversation):
                    yield event
            is_finished = True
            is_cut = any(isinstance(segment, Free) and segment.name == self.cut for segment in form)
            yield self._finished("cut" if is_cut else "complete")
        finally:
            self.in_flight -= 1
            self.abandoned += not is_finished
            self.ended.set()

    def _written(self, segment: Segment, conversation: Conversation) -> list[Event]:
        match segment:
            case Literal(text):
                return [Wrote("", text)]
            case Choice():
                return self._chosen(segment)
            case Digits():
                return self._counted(segment, self.reasoned if conversation.answered else self.direct)
            case Free():
                return self._free(segment)

    def _chosen(self, segment: Choice) -> list[Event]:
        option = self.choices.get(segment.name, segment.options[0])
        if option not in segment.options:
            raise AssertionError(f"{option!r} is no option of {segment}")
        rest = 0.25 / (len(segment.options) - 1)
        probabilities = {each: 0.75 if each == option else rest for each in segment.options}
        return [Wrote(segment.name, option), Chose(segment.name, option, probabilities)]

    def _counted(self, segment: Digits, written: str) -> list[Event]:
        digits = written.replace(".", "")
        if len(digits) != segment.integer_digits + segment.decimals:
            raise AssertionError(f"{written!r} has not the width of {segment}")
        sure = {
            digits[:place]: tuple(float(each == int(digit)) for each in range(10)) for place, digit in enumerate(digits)
        }
        return [Wrote(segment.name, segment.lead + written), NumberWritten(segment.name, written, sure)]

    def _free(self, segment: Free) -> list[Event]:
        text = self.texts.get(segment.name, " a word")
        if any(stop in text for stop in segment.stops):
            raise AssertionError(f"{text!r} goes on after a stop of {segment}")
        half = len(text) // 2
        # In two pieces, because tokens do not end where words do.
        return [Wrote(segment.name, piece) for piece in (text[:half], text[half:]) if piece]

    def _finished(self, reason: FinishReason) -> Finished:
        return Finished(reason, self.fingerprint, prompt_tokens=100, answer_tokens=10, warnings=self.warnings)

    async def _wait_for_tokens(self) -> None:
        # Even without a gate a model takes time: others get their turn.
        await asyncio.sleep(0)
        if self.gate is not None:
            await self.gate.wait()

    def _fail(self, where: str) -> None:
        if where in self.failures:
            raise self.failures[where]
