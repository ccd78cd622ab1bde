"""What a checkpoint brings besides its weights: `assay.toml` with prompts, answer forms, scale and budgets.

Prompts and forms are data because each checkpoint was trained on its own wording (the released RealQA adapters on
the authors', ours on ours). A misspelt key is an error, never a default.

A family may know several ways of looking at the same picture: `[variants.NAME]` tables that lie over the rest, of which
`variant = "NAME"` chooses one. Only what was chosen is fingerprinted, so two variants are never taken for one another.
"""

import hashlib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from assay.attribute import KINDS
from assay.errors import CheckpointError
from assay.form import Reading
from assay.score import Scale

FormName = Literal["direct", "regular", "natural"]
Positive = Annotated[int, Field(gt=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class ShrinkFirst(_Strict):
    """A first step in front of the resize: a larger picture is brought down to an area, with sides of any length."""

    max_pixels: Positive
    """Area of an image, in pixels."""
    video_max_pixels: Positive
    """Area of one frame of a video, in pixels."""
    resample: Literal["nearest", "bicubic"]


class Pixels(_Strict):
    """How large a picture the model takes, and how its pixels are normalised."""

    patch_px: Positive = 14
    temporal_patch: Positive = 2
    merge: Positive = 2
    min_pixels: Positive
    max_pixels: Positive
    """Area of an image, in pixels."""
    video_min_pixels: Positive
    video_max_pixels: Positive
    """Area of one frame of a video, in pixels."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    """Per channel, R G B, of values in [0, 1]."""
    resample: Literal["bicubic"] = "bicubic"
    shrink_first: ShrinkFirst | None = None
    """None: the picture is resized once, from its own size. A checkpoint whose training data was made smaller by other
    software first (RealQA's: 512 * 512 px, NEAREST) sees other pixels, and has to be shown these."""
    enlarge_first_pixels: Positive | None = None
    """Area of an image: a smaller one is enlarged to it, then brought down like any other. A photo, and the same photo
    that somebody enlarged, are then smoothed alike and get the same sides. Frames of a video are left as they are.
    None: resized once."""
    leave_out_borders: bool = False
    """Whether white and black bars around an image are left out before it is resized. A checkpoint that was trained on
    framed photographs with their frames has to see them."""

    @property
    def factor_px(self) -> int:
        """Both sides of a frame are multiples of this."""
        return self.patch_px * self.merge

    @model_validator(mode="after")
    def _ranges_hold_something(self) -> "Pixels":
        for low, high in ((self.min_pixels, self.max_pixels), (self.video_min_pixels, self.video_max_pixels)):
            if low > high:
                raise ValueError(f"least area {low} is above greatest area {high}")
        return self

    @model_validator(mode="after")
    def _first_steps_fit(self) -> "Pixels":
        if self.enlarge_first_pixels is None:
            return self
        if self.shrink_first is not None:
            raise ValueError("shrink_first and enlarge_first_pixels exclude each other; set one of them")
        if self.enlarge_first_pixels < self.max_pixels:
            raise ValueError(
                f"enlarge_first_pixels is at least max_pixels, got {self.enlarge_first_pixels} < {self.max_pixels}"
            )
        return self


class ClipBudget(_Strict):
    """How a video is cut into clips."""

    seconds: Annotated[float, Field(gt=0)] = 4.0
    max_frames: Annotated[int, Field(ge=1, le=64)] = 8
    frames_per_second: Annotated[float, Field(gt=0)] = 2.0


class ScoreRules(_Strict):
    """The scale, and how digits become a score."""

    minimum: float
    maximum: float
    expectation: Literal["digits", "whole"] = "whole"
    direct_weight: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the direct score in the reconciled one."""


class AnswerTemplate(_Strict):
    """One form: what is asked, and the answer with {names} for what the model fills in."""

    question_image: Annotated[str, Field(min_length=1)]
    question_video: Annotated[str, Field(min_length=1)]
    answer: Annotated[str, Field(min_length=1)]
    score_lead: str = ""
    """Text between the literal in front of {score} and its first digit, such as a space."""


class GradeCalibration(_Strict):
    """What is done to the probabilities of one attribute's grades, so that they mean what they say."""

    temperature: Annotated[float, Field(gt=0)] = 1.0
    """The logarithms of the probabilities are divided by it."""
    bias: Mapping[str, float] = {}
    """Grade -> what is added to the logarithm of its probability after that; 0 where nothing is said."""


class DigitRules(_Strict):
    """The shape of the written number."""

    integer_digits: Positive = 1
    decimals: Annotated[int, Field(ge=0)] = 2
    branch_probability: Annotated[float, Field(gt=0, le=1)] = 1.0


class FreeRules(_Strict):
    """When a free text ends."""

    max_tokens: Positive = 64
    stops: tuple[str, ...] = ("\n",)


class WordRules(_Strict):
    """A free text that is one of these words."""

    options: Annotated[tuple[str, ...], Field(min_length=2)]
    """As they are written, with the space in front."""
    bias: Mapping[str, float] = {}
    """Added to an option's logarithm of probability: what is said where nothing is certain is said more often."""


class ModelSpec(_Strict):
    """assay.toml, read and checked: what the wire's ModelSpec is made of."""

    name: Annotated[str, Field(min_length=1)]
    summary: str = ""
    variant: str = ""
    """The one of `[variants]` that lies over the rest; empty for none."""
    pixels: Pixels
    clip: ClipBudget = ClipBudget()
    grade_reading: Reading = "likeliest"
    """How the grade of an attribute is read from the probabilities of all its grades, which stand from worst to best:
    the paper's greedy choice, or their median, which errs by fewer steps where the model is unsure."""
    grade_quantile: Mapping[str, Annotated[float, Field(gt=0, lt=1)]] = {}
    """Attribute -> share of the probabilities, added up from the worst grade on, at which a median stops; one half
    where nothing is said. Less where a missed fault costs more than one that is found in vain. Of two grades ("no",
    "yes") the worse one is given from that probability on."""
    grade_calibration: Mapping[str, GradeCalibration] = {}
    """Attribute -> how its probabilities are calibrated, fitted on photos that nobody trained on
    (`python -m training.calibrate`)."""
    score: ScoreRules
    form: Mapping[FormName, AnswerTemplate]
    digits: Mapping[str, DigitRules] = {}
    free: Mapping[str, FreeRules] = {}
    words: Mapping[str, WordRules] = {}
    wording: Mapping[str, Mapping[str, str]] = {}
    """Attribute name -> grade -> how this checkpoint writes it; " " + grade where not given."""
    reading: Mapping[str, tuple[str, ...] | Mapping[str, str]] = {}
    """For free prose. Attribute name -> phrases around "{grade}", or grade -> phrase."""

    @property
    def grade_quantiles(self) -> Mapping[str, float]:
        """Attribute -> share at which its median stops; empty where the likeliest grade is read."""
        if self.grade_reading == "likeliest":
            return {}
        return {name: self.grade_quantile.get(name, 0.5) for name, kind in KINDS.items() if kind.is_graded}

    @property
    def scale(self) -> Scale:
        return Scale(self.score.minimum, self.score.maximum)

    @property
    def preprocessing_fingerprint(self) -> str:
        """Hash of everything in assay.toml that can change a score, 16 hexadecimal digits."""
        # What is not set is left out: a key that is new in a release must not change the hash of those without it.
        new = {"grade_reading": "likeliest", "grade_quantile": {}, "grade_calibration": {}}
        unset = {name for name, default in new.items() if getattr(self, name) == default}
        bars = {} if self.pixels.leave_out_borders else {"pixels": {"leave_out_borders"}}
        exclude: Any = {**dict.fromkeys(("name", "summary", "variant", *unset), True), **bars}
        settings = self.model_dump_json(exclude=exclude, exclude_none=True)
        return hashlib.sha256(settings.encode()).hexdigest()[:16]


def read_checkpoint(directory: Path) -> ModelSpec:
    """Reads `directory`/assay.toml. CheckpointError names the file and the key that is missing or misspelt."""
    path = directory / "assay.toml"
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: a checkpoint needs its prompts and forms") from None
    except tomllib.TOMLDecodeError as unreadable:
        raise CheckpointError(f"{path} is no valid TOML: {unreadable}") from unreadable
    variants = written.pop("variants", {})
    chosen = written.get("variant", "")
    if chosen and chosen not in variants:
        raise CheckpointError(f"{path}: variant: there is no {chosen!r}; there are {', '.join(variants) or 'none'}")
    # Those that are not chosen are checked as well: their misspelt key would otherwise wait for its day.
    checked = {name: _checked(path, _over(written, table), f"variants.{name}.") for name, table in variants.items()}
    return checked[chosen] if chosen else _checked(path, written)


def _checked(path: Path, settings: dict[str, Any], within: str = "") -> ModelSpec:
    try:
        return ModelSpec.model_validate(settings)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise CheckpointError(f"{path}: {within}{key or 'file'}: {first['msg']}") from wrong


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`, table by table."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _over(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged
