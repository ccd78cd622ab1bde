"""Edited: the same picture scored again after its reasoning was withheld or changed, by the scoring service itself.

A transcript is taken apart into the segments that wrote it, changed, and put together again. Only the regular form has
grades to change; the natural form's prose can be withheld or taken from another picture. The gateway lets nobody edit a
transcript, so this speaks to the two services as the gateway does, through the gateway's own decoder and stubs: pixels
and questions are those that are served.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path

from assay.attribute import KINDS
from assay.checkpoint import FormName, ModelSpec
from assay.errors import AssayError, ServiceUnavailable, UnreadableVerdict
from assay.form import Choice, Form, Free, Literal, Segment
from assay.frame import Clip, Frame
from assay.prompt import SCORE, answer_form
from assay.transcript import Transcript
from assay.v1 import attribute_extraction_pb2, clip_pb2, scoring_pb2
from assay.wire import transcript_from_wire, transcript_to_wire
from evaluation.measure import UNREADABLE_FILE, Failed
from gateway.decode.jobs import DecodePool
from gateway.decode.spec import DecodeSpec, Target
from gateway.upstream import Explanation, RequestOptions, Upstream

Part = tuple[Segment, str]
"""A segment and the text that it wrote; "" where a free text wrote nothing."""


def taken_apart(form: Form, transcript: Transcript) -> list[Part]:
    """`form` is the answer up to the number. ValueError if the transcript was not written in that form."""
    texts = list(transcript.texts)
    parts = []
    for place, segment in enumerate(form.segments):
        text = texts.pop(0) if texts and _may_have_written(segment, texts[0], form.segments[place + 1 :]) else ""
        if not text and not isinstance(segment, Free):
            raise ValueError(f"the transcript does not follow its form at {segment}")
        parts.append((segment, text))
    if texts:
        raise ValueError(f"the transcript goes on after its form: {texts[0]!r}")
    return parts


def _may_have_written(segment: Segment, text: str, rest: Sequence[Segment]) -> bool:
    match segment:
        case Literal():
            return text == segment.text
        case Choice():
            return text in segment.options
    # A free text that wrote nothing has no text of its own, and the next one is the literal behind it.
    return not (rest and isinstance(rest[0], Literal) and text == rest[0].text)


def put_together(parts: Sequence[Part], like: Transcript) -> Transcript:
    """A transcript of the same checkpoint; a text that became empty is left out, as if it had not been written."""
    return replace(like, texts=tuple(text for _, text in parts if text))


def with_grades(parts: Sequence[Part], place: str) -> list[Part]:
    """Every grade replaced by the "best" or the "worst" of its attribute; words stay."""
    return [(segment, _option(segment, place) if isinstance(segment, Choice) else text) for segment, text in parts]


def _option(segment: Choice, place: str) -> str:
    """Of a bipolar attribute the middle is the best and the first grade (too little) the worst."""
    if place == "worst":
        return segment.options[0]
    return segment.options[len(segment.options) // 2 if KINDS[segment.name].is_bipolar else -1]


def without_words(parts: Sequence[Part]) -> list[Part]:
    """Grades stay; reasons and what is named are emptied."""
    return [(segment, "" if isinstance(segment, Free) else text) for segment, text in parts]


def with_words_of(parts: Sequence[Part], others: Sequence[Part]) -> list[Part]:
    """Grades stay; words are those of another picture."""
    words = {segment.name: text for segment, text in others if isinstance(segment, Free)}
    return [(segment, words[segment.name] if isinstance(segment, Free) else text) for segment, text in parts]


def with_grades_of(parts: Sequence[Part], others: Sequence[Part]) -> list[Part]:
    """Words stay; grades are those of another picture."""
    grades = {segment.name: text for segment, text in others if isinstance(segment, Choice)}
    return [(segment, grades[segment.name] if isinstance(segment, Choice) else text) for segment, text in parts]


def _of_another(parts: Sequence[Part], others: Sequence[Part]) -> list[Part]:
    return list(others)


EDITS: Mapping[str, Callable[[Sequence[Part], Sequence[Part]], list[Part]]] = {
    "best grades": lambda parts, others: with_grades(parts, "best"),
    "worst grades": lambda parts, others: with_grades(parts, "worst"),
    "no words": lambda parts, others: without_words(parts),
    "another picture's words": with_words_of,
    "another picture's grades": with_grades_of,
    "another picture's answer": _of_another,
}
"""Name to the edit, which is given the answer about this picture and that about another."""
PROSE_EDITS = ("no words", "another picture's answer")
"""Those that mean something where there are no grades."""

DIRECT, AS_WRITTEN = "withheld", "as written"
"""The number asked for alone, and after the reasoning as the model wrote it."""


@dataclass(slots=True)
class EditedRow:
    """One picture under every edit."""

    file: str
    mos: float
    scores: dict[str, float] = field(default_factory=dict)
    """Edit to score, in units of the checkpoint's scale."""
    failures: dict[str, Failed] = field(default_factory=dict)
    """Edit to what went wrong instead."""


@dataclass(slots=True)
class _Answer:
    """What the model said of one picture."""

    clip: Clip
    transcript: Transcript
    parts: list[Part]


class Editor:
    """Reads pictures, has them reasoned about, and scores them after edits."""

    def __init__(self, checkpoint: ModelSpec, decoder: DecodePool, upstream: Upstream, form: FormName) -> None:
        """ValueError for the direct form: it has no reasoning to edit."""
        if form == "direct":
            raise ValueError("the direct form has no reasoning to edit")
        self._decoder = decoder
        self._upstream = upstream
        self._form: FormName = form
        self._segments = answer_form(checkpoint, form).before(SCORE)
        self._options = RequestOptions("edited", form)
        self._names = tuple(EDITS) if form == "regular" else PROSE_EDITS

    async def rows(self, files: Sequence[tuple[str, Path, float]]) -> list[EditedRow]:
        """One row for each (name, path, MOS), in order; the "other picture" of each is the next one answered."""
        spec = await self._upstream.spec(self._form)
        answers = [await self._answer(path, spec) for _, path, _ in files]
        return [await self._row(place, name, mos, answers) for place, (name, _, mos) in enumerate(files)]

    async def _row(self, place: int, name: str, mos: float, answers: Sequence[_Answer | Failed]) -> EditedRow:
        row = EditedRow(name, mos)
        mine = answers[place]
        if isinstance(mine, Failed):
            row.failures = dict.fromkeys((DIRECT, AS_WRITTEN, *self._names), mine)
            return row
        others = next(
            (other for other in [*answers[place + 1 :], *answers[:place]] if isinstance(other, _Answer)), mine
        )
        changed = {edit: put_together(EDITS[edit](mine.parts, others.parts), mine.transcript) for edit in self._names}
        for edit, transcript in {AS_WRITTEN: mine.transcript, **changed}.items():
            await self._score(row, edit, mine.clip, transcript)
        return row

    async def _score(self, row: EditedRow, edit: str, clip: Clip, transcript: Transcript) -> None:
        try:
            final = await self._final(clip, transcript)
        except AssayError as error:
            row.failures[edit] = Failed(error.reason, error.message)
            if edit == AS_WRITTEN:
                row.failures[DIRECT] = row.failures[edit]
            return
        row.scores[edit] = final.reasoned_score.value
        if edit == AS_WRITTEN:
            row.scores[DIRECT] = final.direct_score.value

    async def _answer(self, path: Path, spec: clip_pb2.ModelSpec) -> _Answer | Failed:
        try:
            clip = await self._clip(await asyncio.to_thread(path.read_bytes), spec)
            transcript = transcript_from_wire(await self._transcript(clip))
            if not transcript.is_complete:
                return Failed(UnreadableVerdict.reason, "the reasoning was cut before it came to a score")
            return _Answer(clip, transcript, taken_apart(self._segments, transcript))
        except AssayError as error:
            return Failed(error.reason, error.message)
        except OSError as error:
            return Failed(UNREADABLE_FILE, f"cannot be read: {error.strerror or error}")
        except ValueError as error:
            return Failed("UNEXPECTED_TRANSCRIPT", str(error))

    async def _clip(self, content: bytes, spec: clip_pb2.ModelSpec) -> Clip:
        target = Target(spec.image_min_pixels, spec.image_max_pixels, spec.factor_px)
        frames = await decoded(self._decoder, DecodeSpec(is_video=False, target=target), content)
        return Clip((frames[0],), is_video=False)

    async def _transcript(self, clip: Clip) -> attribute_extraction_pb2.Transcript:
        async with aclosing(self._upstream.extract(self._options, clip)) as responses:
            async for response in responses:
                if response.HasField("transcript"):
                    return response.transcript
        raise ServiceUnavailable("the attribute extraction service ended before its transcript; try again")

    async def _final(self, clip: Clip, transcript: Transcript) -> scoring_pb2.FinalScore:
        written = asyncio.get_running_loop().create_future()
        written.set_result(Explanation("", (), transcript_to_wire(transcript)))
        async with aclosing(self._upstream.score(self._options, clip, written)) as responses:
            async for response in responses:
                if response.HasField("final_score"):
                    return response.final_score
        raise ServiceUnavailable("the scoring service ended before its final score; try again")


async def decoded(decoder: DecodePool, spec: DecodeSpec, content: bytes) -> list[Frame]:
    """All sampled frames of a file, as the gateway's decoder gives them to the model. BadMedia, OverLimit."""
    async with decoder.open(spec) as job:

        async def send() -> None:
            await job.write(content)
            await job.end()

        # Both at once: a decoder that waits for its reader stops taking bytes.
        sending = asyncio.create_task(send())
        try:
            frames = [event async for event in job.events() if isinstance(event, Frame)]
            await sending
        finally:
            sending.cancel()
        return frames


async def edited_rows(
    addresses: Mapping[str, str], checkpoint: ModelSpec, form: FormName, files: Sequence[tuple[str, Path, float]]
) -> list[EditedRow]:
    """`addresses` has "attribute_extraction" and "scoring", as assay.stack.Stack.addresses does."""
    upstream = Upstream(addresses["attribute_extraction"], addresses["scoring"])
    try:
        async with DecodePool(workers=1) as decoder:
            return await Editor(checkpoint, decoder, upstream, form).rows(files)
    finally:
        await upstream.close()
