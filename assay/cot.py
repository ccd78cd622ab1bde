"""Free prose -> reasoning, grades and verdict, while it streams.

Only a free-form answer (the paper's Q2) has to be read; in the other forms the engine knows what it writes. What
phrases surround a grade is the checkpoint's data (`reading` in assay.toml). Where the text is cut makes no difference
to what is read:

>>> reader = CotReader({})
>>> [*reader.feed("Sharp. <3."), *reader.feed("72>")]
[Reasoning(text='Sharp. '), Verdict(digits='3.72')]
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from assay.attribute import KINDS
from assay.errors import UnreadableVerdict


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Text to show."""

    text: str


@dataclass(frozen=True, slots=True)
class GradeRead:
    """An attribute was graded in words."""

    name: str
    grade: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The number at the end, as written between angle brackets."""

    digits: str


_VERDICT = re.compile(r"<(\d+(?:\.\d+)?)>")
_VERDICT_BEGINS = re.compile(r"<[\d.]{0,12}\Z")
_AFTER = r"(?=[^\w.]|\.\D)"
"""A grade ends where its word ends; "7" is not read out of "7.5" or of the beginning of "10"."""


class CotReader:
    """Reads one answer. Feed text as it comes; finish once it has ended."""

    def __init__(self, reading: Mapping[str, Sequence[str] | Mapping[str, str]]) -> None:
        self._patterns = {name: list(_patterns(name, phrases)) for name, phrases in reading.items()}
        self._text = ""
        self._shown = 0
        self._graded: set[str] = set()
        self._has_verdict = False

    def feed(self, text: str) -> list[Reasoning | GradeRead | Verdict]:
        """What the added text makes certain. Text that may become a verdict is held back until it is one or is not."""
        self._text += text
        return [*self._grades(self._text), *self._show(is_end=False)]

    def finish(self, *, needs_verdict: bool = True) -> list[Reasoning | GradeRead | Verdict]:
        """What only the end makes certain. UnreadableVerdict if a verdict is needed and there was none."""
        events = [*self._grades(self._text + " "), *self._show(is_end=True)]
        if needs_verdict and not self._has_verdict:
            raise UnreadableVerdict("the model's answer holds no score between angle brackets, such as <6.59>")
        return events

    def _grades(self, text: str) -> Iterator[GradeRead]:
        found = []
        for name, patterns in self._patterns.items():
            if name in self._graded:
                continue
            matches = [(match.start(), name, grade) for grade, pattern in patterns if (match := pattern.search(text))]
            found.extend(sorted(matches)[:1])
        for _, name, grade in sorted(found):
            self._graded.add(name)
            yield GradeRead(name, grade)

    def _show(self, is_end: bool) -> Iterator[Reasoning | Verdict]:
        while not self._has_verdict and (match := _VERDICT.search(self._text, self._shown)):
            if match.start() > self._shown:
                yield Reasoning(self._text[self._shown : match.start()])
            yield Verdict(match.group(1))
            self._has_verdict = True
            self._shown = match.end()
        held = None if is_end else _VERDICT_BEGINS.search(self._text, self._shown)
        end = held.start() if held else len(self._text)
        if end > self._shown:
            yield Reasoning(self._text[self._shown : end])
            self._shown = end


def _patterns(name: str, phrases: Sequence[str] | Mapping[str, str]) -> Iterator[tuple[str, re.Pattern[str]]]:
    if name not in KINDS or not KINDS[name].is_graded:
        raise ValueError(f"reading: {name!r} is no graded attribute")
    by_grade = phrases.items() if isinstance(phrases, Mapping) else _spelt_out(name, phrases)
    for grade, phrase in by_grade:
        if grade not in KINDS[name].grades:
            raise ValueError(f"reading: {name} has no grade {grade!r}")
        yield grade, re.compile(re.escape(phrase) + _AFTER)


def _spelt_out(name: str, phrases: Sequence[str]) -> Iterator[tuple[str, str]]:
    for phrase in phrases:
        if "{grade}" not in phrase:
            raise ValueError(f"reading: {name}: phrase {phrase!r} has no {{grade}}")
        for grade in KINDS[name].grades:
            yield grade, phrase.replace("{grade}", grade)
