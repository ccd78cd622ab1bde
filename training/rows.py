"""Rows: what a picture's labels look like as tokens, segment by segment, with soft targets for grades and digits.

Grades and scores are not certain, so the target at such a place is a distribution over tokens: the bell of the label,
conditioned on what was written before it. Then the expectation over the digits that are served means something.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal as OneOf

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from tokenizers import Tokenizer

from assay.attribute import KINDS
from assay.checkpoint import FormName, ModelSpec
from assay.form import Choice, Digits, Form, Free, Literal
from assay.prompt import answer_form, question
from training import claims, stage1, wording
from training.batches import Picture
from training.claims import ClaimKind, Claims
from training.labels import MAX_SCORE, Truth, grade_probabilities
from training.subjects import WORDS, subject
from training.wording import Piece

Stage = OneOf[1, 2]
SYSTEM = "You are a helpful assistant."
_SCORE_SPREAD = 0.35
_GRADE_SPREAD = {"composition": 0.8, "eye_catching": 0.8, "level_shot": 0.3, "subject_integrity": 0.5}
_GRADE_SPREADS_ELSE = 0.5
_WEIGHTS = {"free": 0.3, "choice": 1.0}
_CLAIM_WEIGHT, _JOINING_WEIGHT = 1.0, 0.1
"""Of the token that decides what a claim says, and of the words around it, which are nearly always the same."""
_LITERAL_SHARE, _LITERAL_WEIGHT = 0.2, 0.25
"""Of the branches, in which text that is put in without asking is learnt too: two thirds of all tokens."""
# Shown by nothing but the turn, and long taken for its more frequent grade.
_CHOICE_WEIGHTS = {"level_shot": 5.0}
_DIGIT_WEIGHTS = (4.0, 0.5, 0.1)
_AFTER_SUBJECT = "subject_integrity"
_SUBJECT = ClaimKind("subject", {word: word.strip() for word in WORDS})


@dataclass(frozen=True, slots=True)
class Branch:
    """One question and its answer."""

    ids: tuple[int, ...]
    """From behind <|vision_end|> to <|im_end|>."""
    weights: tuple[float, ...]
    """Of each token in the loss; 0 in the question."""
    soft: Mapping[int, Mapping[int, float]]
    """Place in ids -> distribution over tokens that is the target there."""
    first_digit: int
    """Place in ids of the score's first digit; -1 where no score is written."""
    expected: float
    """What the expectation over the first digit plus one half should be."""
    choices: tuple[tuple[str, int], ...] = ()
    """(attribute, place in ids where its grade begins)."""


class Writer:
    """Turns pictures into branches, by the forms of a checkpoint."""

    def __init__(self, checkpoint: ModelSpec, tokenizer_file: Path, logits: NDArray[np.float32]) -> None:
        """logits: (photos, 1000), the teacher's, by Picture.row."""
        self._checkpoint, self._logits = checkpoint, logits
        tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self.tokens = functools.lru_cache(50_000)(
            lambda text: tuple(tokenizer.encode(text, add_special_tokens=False).ids)
        )
        self.digits = tuple(self.tokens(str(digit))[0] for digit in range(10))
        (self._end,) = self.tokens("<|im_end|>")

    def prefix(self, is_video: bool, vision_tokens: int) -> tuple[int, ...]:
        """Ids in front of every branch, the placeholders of the picture included."""
        pad = "<|video_pad|>" if is_video else "<|image_pad|>"
        head = self.tokens(f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n<|vision_start|>")
        return (*head, *self.tokens(pad) * vision_tokens, *self.tokens("<|vision_end|>"))

    def branches(
        self, picture: Picture, stage: Stage, rng: np.random.Generator, with_prose: bool = True
    ) -> list[Branch]:
        """Stage 1: questions about attributes. Stage 2: the direct row and the reasoned ones, in prose too if asked.

        Stage 2 goes on asking for the level shot by itself: behind a whole answer it is easier guessed from the words
        about composition than from the picture, and where the words are the model's own, they know nothing of it.
        """
        if stage == 1:
            return [self.attribute_branch(picture, task, rng) for task in stage1.drawn(rng)]
        forms: tuple[FormName, ...] = ("direct", "regular", "natural") if with_prose else ("direct", "regular")
        scored = [self.branch(picture, form, rng) for form in forms]
        return [*scored, self.attribute_branch(picture, "level_shot", rng)]

    def branch(self, picture: Picture, form_name: FormName, rng: np.random.Generator) -> Branch:
        asked = question(self._checkpoint, form_name, len(picture.frames) > 1)
        return self._written(asked, answer_form(self._checkpoint, form_name), picture, rng)

    def reasons_branch(self, picture: Picture, rng: np.random.Generator) -> Branch:
        """The regular form as far as the subject: what can be said of a whole photo at a third of the form's cost."""
        asked = question(self._checkpoint, "regular", len(picture.frames) > 1)
        segments = tuple(answer_form(self._checkpoint, "regular"))
        place = next(i for i, each in enumerate(segments) if isinstance(each, Choice) and each.name == _AFTER_SUBJECT)
        return self._written(asked, Form(segments[:place]), picture, rng, is_whole=False)

    def attribute_branch(self, picture: Picture, task: str, rng: np.random.Generator) -> Branch:
        """One of stage 1's thirteen questions (stage1.TASKS)."""
        asked = stage1.question(task, len(picture.frames) > 1)
        return self._written(asked, stage1.answer(self._checkpoint, task), picture, rng)

    def _written(
        self, asked: str, form: Form, picture: Picture, rng: np.random.Generator, is_whole: bool = True
    ) -> Branch:
        start = self.tokens(f"{asked}<|im_end|>\n<|im_start|>assistant\n")
        builder = _BranchBuilder(list(start), [0.0] * len(start))
        builder.literal_weight = _LITERAL_WEIGHT if rng.random() < _LITERAL_SHARE else 0.0
        self._fill(builder, form, picture, rng)
        if is_whole:
            builder.add((self._end,), builder.literal_weight)
        expected = float(_first_digit(picture.truth.score) @ (np.arange(10) + 0.5))
        places = tuple(builder.choices.items())
        return Branch(tuple(builder.ids), tuple(builder.weights), builder.soft, builder.first_digit, expected, places)

    def _fill(self, builder: "_BranchBuilder", form: Form, picture: Picture, rng: np.random.Generator) -> None:
        grades = _drawn_grades(picture.truth, rng)
        stated = {
            **claims.measured(picture.frames[len(picture.frames) // 2]),
            _SUBJECT.name: subject(self._logits[picture.row]),
        }
        texts = self._texts(grades, stated)
        likely: dict[str, NDArray[np.float32]] = {}
        segments = list(form)
        for place, segment in enumerate(segments):
            match segment:
                case Literal(text):
                    # Behind free text the first token is the model's own: it is what ends the text.
                    is_stop = place > 0 and isinstance(segments[place - 1], Free)
                    first, *others = self.tokens(text)
                    builder.add((first,), _WEIGHTS["free"] if is_stop else builder.literal_weight)
                    builder.add(others, builder.literal_weight)
                case Free(name):
                    pieces, gives_away = texts[name]
                    self._write_pieces(builder, pieces, stated)
                    for attribute, by_grade in gives_away.items():
                        likely[attribute] = np.array([by_grade[g] for g in KINDS[attribute].grades], np.float32)
                case Digits():
                    builder.add(self.tokens(segment.lead) if segment.lead else (), builder.literal_weight)
                    self._write_score(builder, picture.truth.score, rng)
                case Choice(name, options):
                    after = segments[place + 1] if place + 1 < len(segments) else None
                    follow = self.tokens(after.text)[0] if isinstance(after, Literal) else self._end
                    shares = _shares(picture.truth, name) * likely.get(name, np.float32(1))
                    drawn = KINDS[name].grades.index(grades[name])
                    builder.choices[name] = len(builder.ids)
                    ways = [self.tokens(option) for option in options]
                    weight = _CHOICE_WEIGHTS.get(name, _WEIGHTS["choice"])
                    builder.choose(ways, shares / shares.sum(), drawn, follow, weight)

    def _texts(
        self, grades: Mapping[str, str], stated: Claims
    ) -> Mapping[str, tuple[Sequence[Piece], wording.Likelihood]]:
        """Free text -> its pieces, and what they give away of the grades behind them."""
        return {
            "composition_reason": wording.composition_reason(grades),
            "eye_catching_reason": wording.eye_catching_reason(grades),
            "subject": ([_SUBJECT], {}),
            "background": ([wording.background(stated)], {}),
        }

    def _write_pieces(self, builder: "_BranchBuilder", pieces: Sequence[Piece], stated: Claims) -> None:
        """What a claim says is decided where its values part; there it is learnt, the rest of it hardly."""
        for place, piece in enumerate(pieces):
            if isinstance(piece, str):
                builder.add(self.tokens(piece), _WEIGHTS["free"] if place == 0 else _JOINING_WEIGHT)
                continue
            ways = [self.tokens(wording.said(piece, value)) for value in piece.words]
            drawn = list(piece.words).index(stated[piece.name])
            shares = np.eye(len(ways), dtype=np.float32)[drawn]
            builder.choose(ways, shares, drawn, self._end, _CLAIM_WEIGHT, _JOINING_WEIGHT)

    def _write_score(self, builder: "_BranchBuilder", score: float, rng: np.random.Generator) -> None:
        written = f"{np.clip(rng.normal(score, _SCORE_SPREAD), 0, MAX_SCORE):.2f}"
        builder.first_digit = len(builder.ids)
        low, width = 0.0, 1.0
        for digit, weight in zip(written.replace(".", ""), _DIGIT_WEIGHTS, strict=True):
            shares = _digit_shares(score, low, width)
            builder.soft[len(builder.ids)] = dict(zip(self.digits, shares.tolist(), strict=True))
            builder.add(self.tokens(digit), weight)
            if width == 1.0:
                builder.add(self.tokens("."), builder.literal_weight)
            low, width = low + int(digit) * width, width / 10


@dataclass(slots=True)
class _BranchBuilder:
    """A branch being written."""

    ids: list[int]
    weights: list[float]
    soft: dict[int, dict[int, float]]
    first_digit: int
    choices: dict[str, int]
    literal_weight: float

    def __init__(self, ids: list[int], weights: list[float]) -> None:
        self.ids, self.weights, self.soft, self.first_digit, self.choices = ids, weights, {}, -1, {}
        self.literal_weight = 0.0

    def add(self, tokens: Sequence[int], weight: float) -> None:
        self.ids += tokens
        self.weights += [weight] * len(tokens)

    def choose(
        self,
        options: Sequence[tuple[int, ...]],
        shares: NDArray[np.float32],
        drawn: int,
        follow: int,
        weight: float,
        weight_between: float | None = None,
    ) -> None:
        """The drawn option; where options part, the target is the share of each way, `follow` meaning "it ends".

        weight_between: of tokens at which nothing is decided; None: that of text that is put in without asking.
        """
        between = self.literal_weight if weight_between is None else weight_between
        for place in range(len(options[drawn]) + 1):
            written = options[drawn][:place]
            ways: dict[int, float] = {}
            for option, share in zip(options, shares.tolist(), strict=True):
                if option[:place] == written:
                    way = option[place] if len(option) > place else follow
                    ways[way] = ways.get(way, 0.0) + share
            if len(ways) > 1:
                total = sum(ways.values())
                self.soft[len(self.ids)] = {token: share / total for token, share in ways.items()}
            if place < len(options[drawn]):
                self.add((options[drawn][place],), weight if len(ways) > 1 else between)


def _drawn_grades(truth: Truth, rng: np.random.Generator) -> dict[str, str]:
    return {
        name: str(rng.choice(kind.grades, p=(shares := _shares(truth, name).astype(float)) / shares.sum()))
        for name, kind in KINDS.items()
        if kind.is_graded
    }


def _shares(truth: Truth, name: str) -> NDArray[np.float32]:
    """Soft label of a graded attribute."""
    kind = KINDS[name]
    place = getattr(truth, name) - (0.5 if kind.grades[0] == "1" else 0.0)
    return grade_probabilities(place, len(kind.grades), _GRADE_SPREAD.get(name, _GRADE_SPREADS_ELSE))


def _digit_shares(score: float, low: float, width: float) -> NDArray[np.float64]:
    """Shares of the next digit, given that the number lies in [low, low + 10 * width): a bell around the score."""
    edges = norm.cdf(low + np.arange(11) * width, score, _SCORE_SPREAD)
    edges[0] = 0.0 if low <= 0 else edges[0]
    edges[-1] = 1.0 if low + 10 * width >= 10 else edges[-1]
    shares = np.diff(edges) + 1e-12
    return np.asarray(shares / shares.sum())


def _first_digit(score: float) -> NDArray[np.float64]:
    return _digit_shares(score, 0.0, 1.0)
