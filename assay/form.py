"""Form: the grammar of an answer, as data.

An answer is a row of segments. The engine walks them from left to right: a Literal is put into the answer without
asking the model, a Choice and Digits are constrained, Free is written by the model until its stop. Because the engine
knows which segment it is in, attributes and scores are typed at the source and never searched for in text.

Tokens: text is tokenised segment by segment. A segment that follows a colon therefore carries its own leading space
(" 7", " cluttered"), as byte-pair tokenisers keep the space with the word.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, get_args
from typing import Literal as OneOf

Reading = OneOf["likeliest", "median"]
"""How a choice is made. likeliest: token by token the most probable one. median: the first option at which the
probabilities, added up in the order of the options, reach one half, or another share that the choice states."""


@dataclass(frozen=True, slots=True)
class Literal:
    """Text that is put into the answer as it stands."""

    text: str

    def __post_init__(self) -> None:
        if not self.text:
            raise ValueError("a literal must not be empty")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several texts; the engine also reports the probability of each."""

    name: str
    options: tuple[str, ...]
    """In their order, if they have one."""
    reading: Reading = "likeliest"
    quantile: float = 0.5
    """The share that a median stops at. Below one half, doubt counts against the later options."""
    temperature: float = 1.0
    """The logarithms of the probabilities are divided by it."""
    biases: tuple[float, ...] = ()
    """Added to the logarithm of each option's probability after that, one an option; none if empty."""

    def __post_init__(self) -> None:
        if len(self.options) < 2 or len(set(self.options)) != len(self.options) or not all(self.options):
            raise ValueError(f"a choice needs two or more different, non-empty options, got {self.options = }")
        if self.reading not in get_args(Reading):
            raise ValueError(f"reading must be one of {get_args(Reading)}, got {self.reading = }")
        if not 0 < self.quantile < 1:
            raise ValueError(f"quantile must lie between 0 and 1, got {self.quantile = }")
        if self.temperature <= 0 or len(self.biases) not in (0, len(self.options)):
            raise ValueError(
                f"temperature must be positive, and every option has a bias or none, "
                f"got {self.temperature = }, {self.biases = }"
            )

    @property
    def is_calibrated(self) -> bool:
        return self.temperature != 1.0 or any(self.biases)

    def calibrated(self, probabilities: Mapping[str, float]) -> dict[str, float]:
        """Option -> probability, the temperature and the biases applied; sums to 1."""
        biases = self.biases or (0.0,) * len(self.options)
        logs = [
            math.log(max(probabilities[option], 1e-12)) / self.temperature + bias
            for option, bias in zip(self.options, biases, strict=True)
        ]
        weights = [math.exp(log - max(logs)) for log in logs]
        return {option: weight / sum(weights) for option, weight in zip(self.options, weights, strict=True)}


@dataclass(frozen=True, slots=True)
class Digits:
    """A decimal number of fixed width, such as 3.72; the engine reports ten probabilities per position."""

    name: str
    integer_digits: int = 1
    decimals: int = 2
    lead: str = ""
    """Text forced before the first digit (a space, where the answer has one)."""
    branch_probability: float = 1.0
    """Digit prefixes at least this probable are expanded as well, for the expectation over whole numbers.
    1.0 looks at the greedy path alone."""

    def __post_init__(self) -> None:
        if self.integer_digits < 1 or self.decimals < 0:
            raise ValueError(
                f"digits need integer_digits >= 1 and decimals >= 0, got {self.integer_digits = }, {self.decimals = }"
            )
        if not 0.0 < self.branch_probability <= 1.0:
            raise ValueError(f"branch_probability must be in (0, 1], got {self.branch_probability = }")


@dataclass(frozen=True, slots=True)
class Free:
    """Text that the model writes until one of the stops (which is not part of the text) or the token limit."""

    name: str
    max_tokens: int = 64
    stops: tuple[str, ...] = ("\n",)

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be >= 1, got {self.max_tokens = }")
        if not all(self.stops):
            raise ValueError(f"a stop must not be empty, got {self.stops = }")


Segment = Literal | Choice | Digits | Free
_KINDS: Mapping[str, type[Segment]] = {"literal": Literal, "choice": Choice, "digits": Digits, "free": Free}


@dataclass(frozen=True, slots=True)
class Form:
    """The segments of an answer, in order. Names of choices, digits and free texts are unique."""

    segments: tuple[Segment, ...]

    def __post_init__(self) -> None:
        if not self.segments:
            raise ValueError("a form needs at least one segment")
        names = [segment.name for segment in self.segments if not isinstance(segment, Literal)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"segment names must be unique, used twice: {twice}")

    def __iter__(self) -> Iterator[Segment]:
        return iter(self.segments)

    def named(self, name: str) -> Segment:
        """The choice, digits or free text of that name; KeyError if there is none."""
        for segment in self.segments:
            if not isinstance(segment, Literal) and segment.name == name:
                return segment
        raise KeyError(name)

    def before(self, name: str) -> "Form":
        """The segments in front of the named one. KeyError if there is no such segment."""
        return Form(self.segments[: self.segments.index(self.named(name))])

    def starting_at(self, name: str) -> "Form":
        """The named segment and all after it. KeyError if there is no such segment."""
        return Form(self.segments[self.segments.index(self.named(name)) :])


@lru_cache(maxsize=64)
def form_to_json(form: Form) -> str:
    """One JSON array, an object a segment: `{"kind": "literal", "text": …}`."""
    kind_of = {kind: name for name, kind in _KINDS.items()}
    return json.dumps([{"kind": kind_of[type(segment)], **asdict(segment)} for segment in form])


@lru_cache(maxsize=64)
def form_from_json(text: str) -> Form:
    """The inverse of form_to_json. ValueError names the segment that cannot be read."""
    rows = json.loads(text)
    if not isinstance(rows, list):
        raise ValueError(f"a form is a JSON array of segments, got {type(rows).__name__}")
    return Form(tuple(_segment_from_row(row) for row in rows))


def _segment_from_row(row: Any) -> Segment:
    if not isinstance(row, dict) or row.get("kind") not in _KINDS:
        raise ValueError(f"segment kind must be one of {sorted(_KINDS)}, got {row!r}")
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in row.items() if key != "kind"
    }
    try:
        return _KINDS[row["kind"]](**values)
    except TypeError as wrong_fields:
        raise ValueError(f"segment {row!r} cannot be read: {wrong_fields}") from wrong_fields
