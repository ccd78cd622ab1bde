"""Ablations: the paper's rows that need a training run of their own, each as the commands that make it.

A command whose result is there already is not run again, so a list of them that was stopped goes on.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from training.recipe.settings import RecipeError

_FILE = Path(__file__).parent / "ablations.toml"
LABELS = "labels.csv"


class Ablation(BaseModel):
    """One run; ablations.toml says what each field means."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: Literal["stage1", "stage2", "regression"]
    changes: tuple[str, ...] = Field(alias="set")
    ask: Literal["direct", "regular", "attributes", ""]


@dataclass(frozen=True, slots=True)
class Inputs:
    """Where the runs read and write."""

    configs: Path
    """Directory of the data sets' TOML files."""
    data_set: str
    data: Path
    realqa: Path
    """Stage 1 is always RealQA's."""
    rows: Path
    """What `label` wrote of data_set."""
    out: Path
    """A directory for each run, by its name."""
    more: Sequence[str] = ()
    """Options of all commands: --base, --override, --set."""
    training: Sequence[str] = ()
    """Options of all that train: --steps."""
    scoring: Sequence[str] = field(default=())
    """Options of all that score: --forms, --files."""


def read_ablations() -> Mapping[str, Ablation]:
    """Name -> what to run, in the order of ablations.toml."""
    said = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return {name: Ablation.model_validate(values) for name, values in said.items()}


def chosen(names: Sequence[str]) -> Mapping[str, Ablation]:
    """Those named, or all. RecipeError names one that does not exist."""
    known = read_ablations()
    if strange := [name for name in names if name not in known]:
        raise RecipeError(f"no ablation {', '.join(strange)}; there are {', '.join(known)}")
    return {name: each for name, each in known.items() if not names or name in names}


def commands(name: str, ablation: Ablation, inputs: Inputs) -> Iterator[list[str]]:
    """Arguments of `python -m training` still to be run: training, then scoring."""
    is_realqa = ablation.stage == "stage1"
    data_set, data = ("realqa", inputs.realqa) if is_realqa else (inputs.data_set, inputs.data)
    out = inputs.out / name
    common = ["--config", str(inputs.configs / f"{data_set}.toml"), *inputs.more]
    changes = [part for change in ablation.changes for part in ("--set", change)]
    reads = ["--data", str(data)] + (["--rows", str(inputs.rows)] if ablation.stage == "stage2" else [])
    if not (out / "settings.json").is_file():
        yield [ablation.stage, *common, *changes, *reads, "--out", str(out), *inputs.training]
    if ablation.ask and not (out / LABELS).is_file():
        asked = ["--adapter", str(out), "--data", str(data), "--ask", ablation.ask]
        yield ["score", *common, *changes, *asked, "--out", str(out / LABELS), *inputs.scoring]
