"""Wording: a picture's grades told in words. The same grade always keeps its fixed phrase; the rest varies.

A reason stands in front of the grade that it speaks of, and must agree with it: it is made from the grade that will be
written, and what it gives away of it goes into the soft target there.

Reasons do not end in a full stop: "\\n" ends them, and ".\\n" would be read as one token where "." + "\\n" is two.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from assay.attribute import KINDS
from training.labels import Looks

_COMPOSITION: Mapping[int, Sequence[str]] = {
    0: (" the framing is careless and nothing is arranged", " there is no order in the picture and no clear idea"),
    1: (" the framing is weak and the parts are poorly balanced", " the arrangement is loose and lacks a focus"),
    2: (" the framing is ordinary with a plain arrangement", " the layout is common and adds little"),
    3: (
        " the framing is sound and the parts are fairly balanced",
        " the subject is placed well and the layout is clear",
    ),
    4: (" the framing is well thought out and nicely balanced", " the lines and the space lead the eye with skill"),
}
_EYE_CATCHING: Mapping[int, Sequence[str]] = {
    0: (" nothing in the picture holds the eye", " the picture is unpleasant to look at"),
    1: (" there is little to draw attention", " the picture is dull and soon forgotten"),
    2: (" it draws some attention but is ordinary", " it is plain with little appeal"),
    3: (" it is pleasant and draws the eye", " the light and colours are attractive"),
    4: (" it is striking and holds the eye at once", " the mood is captivating and the colours are beautiful"),
}
_OPENINGS = (" The picture shows", " The scene shows", " We see", " This picture presents")
_COMPOSITION_WORDS = ("careless", "weak", "ordinary", "sound", "well thought out")
_EYE_WORDS = ("very low", "low", "moderate", "strong", "very strong")


Grades = Mapping[str, str]
Likelihood = Mapping[str, Mapping[str, float]]
"""Attribute -> grade -> how probable the words are if that is the grade, relative to the other grades."""


def bucket_of(grade: str) -> int:
    """1..10 -> 0..4: the five steps of the words over ten grades."""
    return (int(grade) - 1) // 2


def composition_reason(grades: Grades, rng: np.random.Generator) -> tuple[str, Likelihood]:
    """The reason, and what it gives away of the grade that is written after it."""
    return _reason("composition", _COMPOSITION, grades, rng)


def eye_catching_reason(grades: Grades, rng: np.random.Generator) -> tuple[str, Likelihood]:
    """The reason, and what it gives away of the grade that is written after it."""
    return _reason("eye_catching", _EYE_CATCHING, grades, rng)


def _reason(
    name: str, phrases: Mapping[int, Sequence[str]], grades: Grades, rng: np.random.Generator
) -> tuple[str, Likelihood]:
    # No faults of other attributes ("and blur takes the detail away"): greedy words name one as soon as all of them
    # together are likelier than none, and the grade behind them then has to agree (training/LOG.md).
    bucket = bucket_of(grades[name])
    likely = {grade: float(bucket_of(grade) == bucket) for grade in KINDS[name].grades}
    return str(rng.choice(phrases[bucket])), {name: likely}


def background(seen: Looks, hue: str) -> str:
    """A word for how busy it is (from the undegraded picture) and one for its colour."""
    kind = "plain " if seen.border_edges < 0.03 else "busy " if seen.border_edges > 0.15 else ""
    return f" {_article(kind + hue)} {kind}{hue} background"


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def paragraph(grades: Grades, subject: str, behind: str, rng: np.random.Generator) -> str:
    """The free-form reasoning: what is seen, then every grade in its fixed phrase (assay.toml, [reading])."""
    composition = _COMPOSITION_WORDS[bucket_of(grades["composition"])]
    eye = _EYE_WORDS[bucket_of(grades["eye_catching"])]
    camera = "level" if grades["level_shot"] == "yes" else "tilted"
    return (
        f"{rng.choice(_OPENINGS)}{subject} against{behind}."
        f" The composition is {composition}, earning a score of {grades['composition']},"
        f" and the overall eye-catching quality is {eye}, with a score of {grades['eye_catching']}."
        f" The subject is {grades['subject_integrity']}, it looks {grades['subject_clutter']},"
        f" and the background is {grades['background_clutter']}. The camera is {camera}."
        f" The picture is {grades['clarity']}, it is {grades['exposure']},"
        f" and it has {grades['saturation']} saturation."
    )


def every_text() -> list[str]:
    """Each text that the wording can produce, in pieces; the tokeniser is pruned to read them well."""
    texts = [text for group in (_COMPOSITION, _EYE_CATCHING) for bucket in group.values() for text in bucket]
    texts += [*_OPENINGS, *(f" {word}" for word in (*_COMPOSITION_WORDS, *_EYE_WORDS))]
    texts += [f" {_article(kind + hue)} {kind}{hue} background" for hue in HUES for kind in ("", "plain ", "busy ")]
    # The faults that reasons once named are still here, so that the vocabulary stays what it was.
    texts.append(
        ", and the camera is tilted, and the subject is cut off, and the background is busy, and blur takes the detail"
        " away, and it is too dark, and it is too bright, and the colours are pale, and the colours are too strong"
        " against. The composition is, earning a score of 7, and the overall eye-catching quality is, with a score of"
        " The subject is, it looks, and the background is. The camera is level. The picture is, it is, and it has"
        " saturation. The final score is <5.35>."
    )
    return texts


def hue(border_rgb: Sequence[float]) -> str:
    """The nearest of HUES for a mean colour, channels 0..1, of the picture as it is shown."""
    red, green, blue = border_rgb
    top, low = max(border_rgb), min(border_rgb)
    if top - low < 0.09:
        return next(word for word, limit in _GREYS if top <= limit)
    if top < 0.22:
        return "dark"
    turn = np.degrees(np.arctan2(3**0.5 * (green - blue), 2 * red - green - blue)) % 360
    word = next(word for word, limit in _TURNS if turn <= limit)
    return "brown" if word in ("red", "orange", "yellow") and top < 0.6 else word


_GREYS = (("black", 0.1), ("dark", 0.3), ("grey", 0.65), ("bright", 0.85), ("white", 1.01))
_TURNS = (
    ("red", 18), ("orange", 42), ("yellow", 68), ("green", 165), ("blue", 260), ("purple", 335), ("red", 361)
)  # fmt: skip
HUES = ("black", "dark", "grey", "white", "bright", "red", "orange", "yellow", "green", "blue", "purple", "brown")
