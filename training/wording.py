"""Wording: a picture's grades and claims told in words.

A reason stands in front of the grade that it speaks of, and must agree with it: it begins with a word that is made from
the grade that will be written, and what that gives away goes into the soft target there. The rest of it are claims
about the pixels (training/claims.py), one of each kind and always in the same place.

Reasons do not end in a full stop: "\\n" ends them, and ".\\n" would be read as one token where "." + "\\n" is two. Nor
do they hold a semicolon, which ends them in prose.
"""

from collections.abc import Mapping

from assay.attribute import KINDS
from training import claims
from training.claims import Claims

FRAMING = ("careless", "weak", "ordinary", "sound", "well thought out")
APPEAL = ("very little", "little", "moderate", "strong", "very strong")
"""By fifths of the scale, worst to best."""

Grades = Mapping[str, str]
Likelihood = Mapping[str, Mapping[str, float]]
"""Attribute -> grade -> how probable the words are if that is the grade, relative to the other grades."""


def bucket_of(grade: str) -> int:
    """1..10 -> 0..4: the five steps of the words over ten grades."""
    return (int(grade) - 1) // 2


def composition_reason(grades: Grades, told: Claims) -> tuple[str, Likelihood]:
    """The reason, and what it gives away of the grade that is written after it."""
    framing = FRAMING[bucket_of(grades["composition"])]
    detail, light = (kind.words[told[kind.name]] for kind in (claims.DETAIL, claims.LIGHT))
    return f" {framing} framing with {detail} and {light}", _likely("composition", grades)


def eye_catching_reason(grades: Grades, told: Claims) -> tuple[str, Likelihood]:
    """The reason, and what it gives away of the grade that is written after it."""
    appeal = APPEAL[bucket_of(grades["eye_catching"])]
    kinds = (claims.TONE, claims.CONTRAST, claims.COLOUR, claims.CAST, claims.ENDS)
    tone, contrast, colour, cast, ends = (kind.words[told[kind.name]] for kind in kinds)
    return f" {appeal} appeal: {tone}, {contrast}, {colour}, {cast} and {ends}", _likely("eye_catching", grades)


def _likely(name: str, grades: Grades) -> Likelihood:
    bucket = bucket_of(grades[name])
    return {name: {grade: float(bucket_of(grade) == bucket) for grade in KINDS[name].grades}}


def background(told: Claims) -> str:
    """How busy it is and its colour."""
    words = claims.SURROUNDINGS.words[told["surroundings"]] + told["hue"]
    return f" {'an' if words[0] in 'aeiou' else 'a'} {words} background"


def every_text() -> list[str]:
    """Each text that the wording can produce, in pieces; the tokeniser is pruned to read them well."""
    texts = [f" {word} framing with" for word in FRAMING] + [f" {word} appeal:" for word in APPEAL]
    for kind in claims.KINDS:
        texts += [f" {said}, {said} and {said}; {said}" for said in kind.words.values() if said]
    texts += [background({"hue": hue, "surroundings": s}) for hue in claims.HUE.words for s in ("plain", "neither")]
    return [*texts, *(background({"hue": hue, "surroundings": "busy"}) for hue in claims.HUE.words)]
