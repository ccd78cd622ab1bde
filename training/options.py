"""Options that the commands share, and what is made of them. Torch is imported by what needs it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from training.recipe.settings import Settings, read_settings

Out = Annotated[Path, typer.Option(metavar="DIR")]
Data = Annotated[Path, typer.Option(metavar="DIR", help="the set, laid out as its authors do")]
Rows = Annotated[Path | None, typer.Option(metavar="DIR", help="conversations, if not under --data")]
Adapter = Annotated[Path | None, typer.Option(metavar="DIR", help="what a stage wrote")]
Base = Annotated[str | None, typer.Option(metavar="DIR", help="instead of model.base")]
Hub = Annotated[bool, typer.Option("--hub", help="download the base if it is not here")]
Steps = Annotated[int | None, typer.Option(min=1, metavar="N", help="end after N steps")]
Files = Annotated[int | None, typer.Option(min=1, metavar="N", help="only the first N")]
Forms = Annotated[Path | None, typer.Option(metavar="assay.toml", help="if the base brings none")]
LanguageOnly = Annotated[bool, typer.Option("--language-only", help="the adapter has no vision layers")]
Override = Annotated[list[Path] | None, typer.Option(metavar="FILE.toml", help="laid over the configuration")]
Assignments = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="stage2.digits=2")]


def configured(
    config: Annotated[Path, typer.Option(metavar="FILE.toml", help="such as in training/recipe/configs")],
    override: Override = None,
    assignments: Assignments = None,
) -> Settings:
    """Settings of a run."""
    return read_settings(config, override or (), assignments or ())


@dataclass(frozen=True, slots=True)
class Weights:
    """What a command starts from."""

    base: str | None
    hub: bool
    adapter: Path | None
    forms: Path | None
    language_only: bool

    def find(self, chosen: Settings) -> Path:
        """Directory of the base. CheckpointError says how to get it."""
        from training.recipe.base import find_base

        return find_base(self.base or chosen.model.base, self.hub)


def weights(
    base: Base = None,
    hub: Hub = False,
    adapter: Adapter = None,
    forms: Forms = None,
    language_only: LanguageOnly = False,
) -> Weights:
    """What is asked: a base, with what a stage wrote over it."""
    return Weights(base, hub, adapter, forms, language_only)


@dataclass(frozen=True, slots=True)
class StageRun:
    """What a stage starts from, and where its results go."""

    base: str | None
    hub: bool
    adapter: Path | None
    out: Path
    steps: int | None

    def options(self, chosen: Settings) -> Any:
        """StageOptions. CheckpointError says how to get the base."""
        from training.recipe.stages import StageOptions

        found = Weights(self.base, self.hub, self.adapter, None, False).find(chosen)
        return StageOptions(chosen, found, self.out, self.adapter, self.steps, say=say)


def stage_run(out: Out, base: Base = None, hub: Hub = False, adapter: Adapter = None, steps: Steps = None) -> StageRun:
    """What every stage is asked."""
    return StageRun(base, hub, adapter, out, steps)


def say(line: str) -> None:
    """A line of progress, at once."""
    print(line, flush=True)
