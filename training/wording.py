"""Wording: a picture's grades and claims put into words.

A reason stands in front of the grade that it speaks of, and must agree with it: it begins with a word that is made from
the grade that will be written, and what that gives away goes into the soft target there. The rest of it are claims
about the pixels (training/claims.py), one of each kind and always in the same place.

Reasons do not end in a full stop: "\\n" ends them, and ".\\n" would be read as one token where "." + "\\n" is two. Nor
do they hold a semicolon, which ends them in prose.
"""

from collections.abc import Mapping, Sequence

from assay.attribute import KINDS
from training import claims
from training.claims import ClaimKind, Claims

FRAMING = ("careless", "weak", "ordinary", "sound", "well thought out")
APPEAL = ("very little", "little", "moderate", "strong", "very strong")
"""By fifths of the scale, worst to best."""

Piece = str | ClaimKind
"""Of a reason: words that stand there in any case, or a place for a claim of that kind."""
Grades = Mapping[str, str]
Likelihood = Mapping[str, Mapping[str, float]]
"""Attribute -> grade -> how probable the words are if that is the grade, relative to the other grades."""


def bucket_of(grade: str) -> int:
    """1..10 -> 0..4: the five steps of the words over ten grades."""
    return (int(grade) - 1) // 2


def composition_reason(grades: Grades) -> tuple[list[Piece], Likelihood]:
    """The reason, and what it gives away of the grade that is written after it."""
    framing = FRAMING[bucket_of(grades["composition"])]
    return [f" {framing} framing with", claims.DETAIL, " and", claims.LIGHT], _likely("composition", grades)


def eye_catching_reason(grades: Grades) -> tuple[list[Piece], Likelihood]:
    """The reason, and what it gives away of the grade that is written after it."""
    appeal = APPEAL[bucket_of(grades["eye_catching"])]
    kinds = (claims.TONE, claims.CONTRAST, claims.COLOUR, claims.CAST)
    pieces: list[Piece] = [f" {appeal} appeal:"]
    for kind in kinds:
        pieces += [*([","] if len(pieces) > 1 else []), kind]
    return [*pieces, " and", claims.ENDS], _likely("eye_catching", grades)


def written(pieces: Sequence[Piece], stated: Claims) -> str:
    """The pieces as text, each claim with the value that was measured."""
    return "".join(each if isinstance(each, str) else said(each, stated[each.name]) for each in pieces)


def said(kind: ClaimKind, value: str) -> str:
    """A claim as it stands in a reason."""
    return f" {kind.words[value]}"


def _likely(name: str, grades: Grades) -> Likelihood:
    bucket = bucket_of(grades[name])
    return {name: {grade: float(bucket_of(grade) == bucket) for grade in KINDS[name].grades}}


def background(stated: Claims) -> str:
    """How busy it is and its colour."""
    words = claims.SURROUNDINGS.words[stated["surroundings"]] + stated["hue"]
    return f" {'an' if words[0] in 'aeiou' else 'a'} {words} background"


def every_text() -> list[str]:
    """Each text that the wording can produce, in pieces; the tokeniser is pruned to read them well."""
    texts = [f" {word} framing with" for word in FRAMING] + [f" {word} appeal:" for word in APPEAL]
    for kind in claims.KINDS:
        texts += [f" {words}, {words} and {words}; {words}" for words in kind.words.values() if words]
    texts += [background({"hue": hue, "surroundings": s}) for hue in claims.HUE.words for s in ("plain", "neither")]
    return [*texts, *(background({"hue": hue, "surroundings": "busy"}) for hue in claims.HUE.words)]
