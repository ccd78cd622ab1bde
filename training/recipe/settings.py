"""Settings of a run: configs/*.toml, overlays and single assignments laid over it, every key checked."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError, model_validator

Granularity = Literal["attributes", "levels", "mix"]
LevelName = Literal["high", "middle", "low"]
AnswerTask = Literal["direct", "regular", "natural"]
Share = Annotated[float, Field(ge=0, lt=1)]


class RecipeError(ValueError):
    """A settings file that cannot be used; the message names file and key."""


class StrictSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class WeightsSettings(StrictSettings):
    base: str = "Qwen/Qwen2-VL-7B-Instruct"
    """A directory, or a name in the hub's cache on this machine."""
    from_scratch: bool = False
    """True: random weights of the base's shape, all of them trained (the paper's control); no adapter."""
    sharded: bool = False
    """True: weights, gradients and moments are spread over all processes (FSDP2); only from scratch, where they do
    not fit on one GPU."""
    gradient_checkpointing: bool = False
    """True: activations are computed again in the backward pass, which takes less memory and more time."""

    @model_validator(mode="after")
    def _only_the_whole_is_sharded(self) -> "WeightsSettings":
        if self.sharded and not self.from_scratch:
            raise ValueError("sharded is for from_scratch = true; with an adapter every process keeps the whole model")
        return self


class AdapterSettings(StrictSettings):
    """LoRA on every linear layer but the output head."""

    rank: PositiveInt = 128
    alpha: PositiveInt = 256
    """Not in the paper; twice the rank is the default of the authors' trainer (LLaMA-Factory)."""
    dropout: Share
    vision: bool = True
    """The vision tower's linear layers (and its merger's) get LoRA too, as in the released adapters."""


class PictureSettings(StrictSettings):
    min_pixels: PositiveInt = 200_704
    max_pixels: PositiveInt = 401_408
    """Area of a picture as the model sees it, in pixels."""
    shrink_first: bool = True
    """True: the authors' path, first to at most shrink_to_px squared with NEAREST. False: straight from the file."""
    shrink_to_px: PositiveInt = 512

    @model_validator(mode="after")
    def _range_holds_something(self) -> "PictureSettings":
        if self.min_pixels > self.max_pixels:
            raise ValueError(f"min_pixels {self.min_pixels} is above max_pixels {self.max_pixels}")
        return self


class OptimiserSettings(StrictSettings):
    rate: PositiveFloat = 1e-4
    warm_up: Share = 0.1
    """Share of all steps in which the rate rises; after it, it falls as a cosine to zero."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    clip_norm: PositiveFloat = 1.0
    batch: PositiveInt = 2
    accumulate: PositiveInt = 8
    """Rows in a step: batch x accumulate, for each process."""
    precision: Literal["bf16", "fp32"] = "bf16"
    cutoff: PositiveInt = 2048
    """Tokens of a row, picture and answer included. A longer row is an error, as cutting would lose its score."""
    save_every_steps: PositiveInt = 200
    workers: Annotated[int, Field(ge=0)] = 2
    """Processes that prepare pictures; 0 prepares them in the training process."""


class Stage1Settings(StrictSettings):
    epochs: PositiveInt = 2
    granularities: tuple[Granularity, ...] = ("attributes", "levels", "mix")
    order: tuple[LevelName, LevelName, LevelName] = ("high", "middle", "low")
    """Of the levels in a Mix answer."""

    @model_validator(mode="after")
    def _nothing_twice(self) -> "Stage1Settings":
        if not self.granularities or len(set(self.granularities)) != len(self.granularities):
            raise ValueError(f"granularities are one or more different names, got {self.granularities}")
        if len(set(self.order)) != 3:
            raise ValueError(f"order names high, middle and low once each, got {self.order}")
        return self


class Stage2Settings(StrictSettings):
    epochs: PositiveInt = 6
    tasks: tuple[AnswerTask, ...] = ("direct", "natural", "regular")
    """Q1, Q2, Q3. Only the direct rows: 2 epochs in the paper; mixed: 6."""
    digits: Annotated[int, Field(ge=1, le=3)] = 3
    """M, digits of a score in a label: 4 | 4.0 | 3.98."""

    @model_validator(mode="after")
    def _nothing_twice(self) -> "Stage2Settings":
        if not self.tasks or len(set(self.tasks)) != len(self.tasks):
            raise ValueError(f"tasks are one or more different names, got {self.tasks}")
        return self


class RegressionSettings(StrictSettings):
    epochs: PositiveInt = 2


class Settings(StrictSettings):
    data_set: str
    """Name of the data set, as data.published knows it."""
    held_out_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the files to test on, for a set without a published split; None for one that has it."""
    seed: int = 42
    model: WeightsSettings = WeightsSettings()
    adapter: AdapterSettings
    pictures: PictureSettings = PictureSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    stage1: Stage1Settings = Stage1Settings()
    stage2: Stage2Settings = Stage2Settings()
    regression: RegressionSettings = RegressionSettings()


def read_settings(file: Path, overlays: Sequence[Path] = (), assignments: Sequence[str] = ()) -> Settings:
    """The file, then each overlay's keys over it, then assignments such as `optimiser.batch=1` (values are TOML).

    RecipeError names the file or assignment, and the key that is missing or misspelt.
    """
    values: dict[str, Any] = {}
    for path in (file, *overlays):
        _lay_over(values, _read_toml(path.read_text(encoding="utf-8") if path.is_file() else None, str(path)))
    for assignment in assignments:
        _lay_over(values, _read_toml(assignment, f"--set {assignment}"))
    try:
        return Settings.model_validate(values)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        what = ", ".join([str(file), *map(str, overlays), *(f"--set {text}" for text in assignments)])
        raise RecipeError(f"{what}: {key}: {first['msg']}") from wrong


def _read_toml(text: str | None, name: str) -> dict[str, Any]:
    if text is None:
        known = ", ".join(sorted(path.stem for path in (Path(__file__).parent / "configs").glob("*.toml")))
        raise RecipeError(f"there is no file {name}; training/recipe/configs has {known}")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as unreadable:
        raise RecipeError(f"{name} is no valid TOML: {unreadable}") from unreadable


def _lay_over(values: dict[str, Any], over: dict[str, Any]) -> None:
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            _lay_over(values[key], value)
        else:
            values[key] = value
