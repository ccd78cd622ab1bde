"""Words: what the reasoning says of each grade, read from its text alone, without the grades that came with it."""

import re
from collections.abc import Mapping, Sequence

from assay.attribute import KINDS
from assay.checkpoint import FormName, ModelSpec
from assay.cot import CotReader, GradeRead
from assay.form import Choice, Free, Literal
from assay.prompt import REASON, answer_form

# What the weights in checkpoints/nano were trained to say, worst to best.
_REASONS: Mapping[str, Mapping[int, Sequence[str]]] = {
    "composition": {
        0: (" the framing is careless and nothing is arranged", " there is no order in the picture and no clear idea"),
        1: (" the framing is weak and the parts are poorly balanced", " the arrangement is loose and lacks a focus"),
        2: (" the framing is ordinary with a plain arrangement", " the layout is common and adds little"),
        3: (
            " the framing is sound and the parts are fairly balanced",
            " the subject is placed well and the layout is clear",
        ),
        4: (" the framing is well thought out and nicely balanced", " the lines and the space lead the eye with skill"),
    },
    "eye_catching": {
        0: (" nothing in the picture holds the eye", " the picture is unpleasant to look at"),
        1: (" there is little to draw attention", " the picture is dull and soon forgotten"),
        2: (" it draws some attention but is ordinary", " it is plain with little appeal"),
        3: (" it is pleasant and draws the eye", " the light and colours are attractive"),
        4: (" it is striking and holds the eye at once", " the mood is captivating and the colours are beautiful"),
    },
}
_PROSE = {
    "composition": (
        "The composition is {}, earning",
        ("careless", "weak", "ordinary", "sound", "well thought out"),
    ),
    "eye_catching": (
        "the overall eye-catching quality is {}, with",
        ("very low", "low", "moderate", "strong", "very strong"),
    ),
}


def grades_in(checkpoint: ModelSpec, form_name: FormName, reasoning: str) -> dict[str, str]:
    """Attribute -> grade as the text says; an attribute of which it says nothing readable is not there."""
    if form_name == "natural":
        reader = CotReader(checkpoint.reading)
        events = [*reader.feed(reasoning), *reader.finish(needs_verdict=False)]
        return {event.name: event.grade for event in events if isinstance(event, GradeRead)}
    texts = _after_headings(checkpoint, form_name, reasoning)
    return {name: text for name, text in texts.items() if name in KINDS and text in KINDS[name].grades}


def reasons_in(checkpoint: ModelSpec, form_name: FormName, reasoning: str) -> dict[str, str]:
    """Attribute -> the words of its reason (regular form), or of the whole text (natural form)."""
    if form_name == "natural":
        return dict.fromkeys(_REASONS, reasoning)
    texts = _after_headings(checkpoint, form_name, reasoning)
    return {name: texts[name + REASON] for name in _REASONS if name + REASON in texts}


def _after_headings(checkpoint: ModelSpec, form_name: FormName, reasoning: str) -> dict[str, str]:
    """Name of each choice or free text of the form -> the rest of the line behind the heading before it."""
    found: dict[str, str] = {}
    heading = ""
    for segment in answer_form(checkpoint, form_name):
        if isinstance(segment, Literal):
            heading = segment.text.strip()
        elif isinstance(segment, Choice | Free) and (
            match := re.search(rf"^{re.escape(heading)} *(.*)$", reasoning, re.MULTILINE)
        ):
            found[segment.name] = match.group(1).strip()
    return found


def bucket_in_words(form_name: FormName, name: str, reason: str) -> int | None:
    """0 (worst) to 4 (best): how good the words say composition or eye_catching is; None if they are not wording's."""
    if form_name == "natural":
        phrase, words = _PROSE[name]
        said = (bucket for bucket, word in enumerate(words) if phrase.format(word) in reason)
    else:
        # The longest phrase first, should one begin like another.
        matches = [
            (len(text), bucket) for bucket, texts in _REASONS[name].items() for text in texts if text.strip() in reason
        ]
        said = (bucket for _, bucket in sorted(matches, reverse=True))
    return next(said, None)
