"""Words: what the reasoning says of each grade, read from its text alone, without the grades that came with it."""

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile

from assay.attribute import KINDS
from assay.checkpoint import FormName, ModelSpec
from assay.cot import CotReader, GradeRead
from assay.form import Choice, Digits, Form, Free, Literal
from assay.prompt import REASON, answer_form
from training.wording import APPEAL, FRAMING

_PHRASES: Mapping[str, tuple[str, Sequence[str]]] = {
    "composition": ("{} framing with", FRAMING),
    "eye_catching": ("{} appeal:", APPEAL),
}
"""Of an attribute, the phrase of training/wording.py with one of its words, worst to best."""


def grades_in(checkpoint: ModelSpec, form_name: FormName, reasoning: str) -> dict[str, str]:
    """Attribute -> grade as the text says; an attribute of which it says nothing readable is not there."""
    if form_name == "natural" and checkpoint.reading:
        reader = CotReader(checkpoint.reading)
        events = [*reader.feed(reasoning), *reader.finish(needs_verdict=False)]
        return {event.name: event.grade for event in events if isinstance(event, GradeRead)}
    texts = _texts(checkpoint, form_name, reasoning)
    return {name: text for name, text in texts.items() if name in KINDS and text in KINDS[name].grades}


def reasons_in(checkpoint: ModelSpec, form_name: FormName, reasoning: str) -> dict[str, str]:
    """Attribute -> the words of its reason; of the whole text, where the form has no places for reasons."""
    if form_name == "natural" and checkpoint.reading:
        return dict.fromkeys(_PHRASES, reasoning)
    texts = _texts(checkpoint, form_name, reasoning)
    return {name: texts[name + REASON] for name in _PHRASES if name + REASON in texts}


def _texts(checkpoint: ModelSpec, form_name: FormName, reasoning: str) -> dict[str, str]:
    """Name of each choice or free text of the form -> what stands in its place."""
    form = answer_form(checkpoint, form_name)
    return _after_headings(form, reasoning) if form_name == "regular" else _between_literals(form, reasoning)


def _after_headings(form: Form, reasoning: str) -> dict[str, str]:
    """Each on a line of its own, behind its heading."""
    found: dict[str, str] = {}
    heading = ""
    for segment in form:
        if isinstance(segment, Literal):
            heading = segment.text.strip()
        elif isinstance(segment, Choice | Free) and (
            match := re.search(rf"^{re.escape(heading)} *(.*)$", reasoning, re.MULTILINE)
        ):
            found[segment.name] = match.group(1).strip()
    return found


def _between_literals(form: Form, reasoning: str) -> dict[str, str]:
    """Prose is read as a whole, as far as the score, or not at all; what leads to the score may be missing."""
    *segments, lead = takewhile(lambda segment: not isinstance(segment, Digits), form)
    pattern = "".join(
        re.escape(each.text) if isinstance(each, Literal) else f"(?P<{each.name}>.*?)" for each in segments
    )
    end = re.escape(lead.text) if isinstance(lead, Literal) else ""
    match = re.match(rf"{pattern}(?:{end}|\W*$)", f" {reasoning.strip()}", re.DOTALL)
    return {name: text.strip() for name, text in match.groupdict().items()} if match else {}


def bucket_in_words(name: str, reason: str) -> int | None:
    """0 (worst) to 4 (best): how good the words say composition or eye_catching is; None if they are not wording's."""
    phrase, words = _PHRASES[name]
    said = {phrase.format(word): bucket for bucket, word in enumerate(words)}
    # The longest first: "little appeal" stands in "very little appeal".
    return next((said[text] for text in sorted(said, key=len, reverse=True) if text in reason), None)
