"""Settings of a run: configs/*.toml, every key checked."""

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class ModelSettings(_Strict):
    tower_depth: PositiveInt
    width: PositiveInt
    """Of the language model; a multiple of 128 (heads are 64 wide, two share a key)."""
    layers: PositiveInt
    feed_forward: PositiveInt
    english_merges: PositiveInt


class TrainingSettings(_Strict):
    minutes: PositiveFloat
    stage_1_share: Annotated[float, Field(gt=0, lt=1)]
    """Of the minutes, for the questions about attributes; the rest is self-labelling and stage 2."""
    self_labelled: PositiveInt
    """Photos of which the stage-1 model is asked what nobody graded, at most."""
    tower_frozen_minutes: float
    tower_blocks_frozen: NonNegativeInt
    """The first blocks of the tower, and what is in front of them, keep their weights: half the cost of a step."""
    first_frame_share: Annotated[float, Field(ge=0.5, lt=1)] = 0.5
    """Of what the tower sees of a temporal patch at the start, that from the first of its two frames: with 0.5 a camera
    that moves looks like a double exposure."""
    tower_rate: PositiveFloat
    merger_rate: PositiveFloat
    language_rate: PositiveFloat
    save_every_steps: PositiveInt
    threads: PositiveInt


class EyesSettings(_Strict):
    minutes: PositiveFloat
    """Before the training of the words, which has its own."""
    tower_rate: PositiveFloat
    merger_rate: PositiveFloat
    first_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of the weights with which the tower goes on to the words, those of the checkpoint of `--start`; the rest it has
    learnt since. Without `--start` there is nothing to keep."""


class Settings(_Strict):
    seed: int
    model: ModelSettings
    eyes: EyesSettings
    training: TrainingSettings


def read_settings(file: Path) -> Settings:
    """ValidationError names the key that is missing or misspelt."""
    return Settings.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
