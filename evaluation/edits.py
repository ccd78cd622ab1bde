"""Edits: a transcript taken apart into the segments that wrote it, changed, and put together again.

Only the regular form has grades to change; the natural form's prose can be withheld or taken from another picture.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from assay.attribute import KINDS
from assay.form import Choice, Form, Free, Literal, Segment
from assay.transcript import Transcript

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
