"""Clip -> reasoning, attributes, transcript: the step that this service owns."""

import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from assay.attribute import KINDS, Attribute
from assay.checkpoint import FormName, ModelSpec
from assay.cot import CotReader, GradeRead, Reasoning
from assay.errors import CheckpointError, ModelUnavailable
from assay.form import Choice, Form, Free, Literal
from assay.frame import Clip
from assay.generator import Chose, Conversation, Event, Finished, Generator, Wrote
from assay.prompt import REASON, SCORE, answer_form, grade_of_option, question
from assay.rpc.usage import usage_meter
from assay.transcript import Transcript

Extracted = Reasoning | Attribute | Transcript


def refuse_unusable(checkpoint: ModelSpec) -> None:
    """CheckpointError if a form of the checkpoint cannot be asked or read; for the start of the program."""
    for form_name in checkpoint.form:
        answer_form(checkpoint, form_name)
    try:
        CotReader(checkpoint.reading)
    except ValueError as wrong:
        raise CheckpointError(f"checkpoint {checkpoint.name!r}: {wrong}") from wrong


async def extract(
    generator: Generator, checkpoint: ModelSpec, form_name: FormName, clip: Clip, tenant: str = ""
) -> AsyncGenerator[Extracted, None]:
    """Text as it is written, attributes as soon as they are certain, the transcript last."""
    form = answer_form(checkpoint, form_name).before(SCORE)
    conversation = Conversation(question(checkpoint, form_name, clip.is_video), tenant=tenant)
    listener, started = _Listener(checkpoint, form), time.perf_counter()
    async with aclosing(generator.generate(clip, conversation, form)) as events:
        async for event in events:
            if isinstance(event, Finished):
                seconds = time.perf_counter() - started
                usage_meter().add_generation(event.prompt_tokens, event.answer_tokens, seconds)
            for extracted in listener.hear(event):
                yield extracted
            if isinstance(event, Finished):
                return
    raise ModelUnavailable("The model stopped in the middle of its answer; try again.")


class _Listener:
    """Makes attributes of what is written: typed where the form has a choice, read where the text is free prose."""

    def __init__(self, checkpoint: ModelSpec, form: Form) -> None:
        self._checkpoint = checkpoint
        self._is_prose = not any(isinstance(segment, Choice) for segment in form)
        self._prose = CotReader(checkpoint.reading if self._is_prose else {})
        self._texts: dict[str, str] = {}
        """Segment to its text so far; the empty name holds all literals."""
        self._shown_literals_left = _shown_literal_chars(form)
        self._written: list[str] = []
        """A text for each segment so far."""
        self._last_written = ""
        self._segment = ""
        named = {each.name for each in form if isinstance(each, Free | Choice)}
        self._named_ahead = named & {"subject", "background"}
        """Texts that name subject and background and are not finished yet."""

    def hear(self, event: Event) -> Iterator[Extracted]:
        match event:
            case Wrote():
                yield from self._ended_before(event.segment)
                self._texts[event.segment] = self._texts.get(event.segment, "") + event.text
                self._write_down(event)
                if shown := self._shown(event):
                    yield Reasoning(shown)
                yield from self._read(event.text)
            case Chose(segment) if segment in KINDS:
                yield self._chosen(event)
            case Chose():
                pass  # A word of a closed list: its text has been written.
            case Finished():
                yield from self._ended_before("")
                yield from self._read("", is_end=True)
                # Prose that was cut never led up to a number. A form with choices does, however long one reason was.
                is_complete = event.reason == "complete" or not self._is_prose
                yield Transcript(tuple(self._written), event.checkpoint_fingerprint, is_complete)

    def _shown(self, event: Wrote) -> str:
        """What a person reads of it: all but the sentence that leads up to the number, which is not the final score."""
        if event.segment:
            return event.text
        shown = event.text[: self._shown_literals_left]
        self._shown_literals_left -= len(shown)
        return shown

    def _ended_before(self, segment: str) -> Iterator[Attribute]:
        """Subject and background are one attribute, graded once both have ended."""
        if segment == self._segment:
            return
        if self._segment in self._named_ahead:
            self._named_ahead.discard(self._segment)
            if not self._named_ahead:
                named = (self._texts.get(name, "").strip() for name in ("subject", "background"))
                yield Attribute("subject_and_background", text="; ".join(name for name in named if name))
        self._segment = segment

    def _write_down(self, event: Wrote) -> None:
        if event.segment and event.segment == self._last_written:
            self._written[-1] += event.text
        else:
            self._written.append(event.text)
        self._last_written = event.segment

    def _chosen(self, event: Chose) -> Attribute:
        def grade(option: str) -> str:
            return grade_of_option(self._checkpoint, event.segment, option)

        reason = self._texts.get(f"{event.segment}{REASON}", "").strip()
        probabilities = {grade(option): probability for option, probability in event.probabilities.items()}
        return Attribute(event.segment, grade(event.option), probabilities, reason)

    def _read(self, text: str, *, is_end: bool = False) -> Iterator[Attribute]:
        events = self._prose.finish(needs_verdict=False) if is_end else self._prose.feed(text)
        for event in events:
            if isinstance(event, GradeRead):
                yield Attribute(event.name, event.grade)


def _shown_literal_chars(form: Form) -> int:
    """How many characters of the form's forced text there are in front of its last sentence or line."""
    forced = [segment.text for segment in form if isinstance(segment, Literal)]
    if not isinstance(form.segments[-1], Literal):
        return sum(map(len, forced))
    last = forced.pop()
    return sum(map(len, forced)) + max(last.rfind("\n"), last.rfind(". ") + 1, 0)
