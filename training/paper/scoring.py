"""Scoring: a trained stage over files -> labels as CSV; a file that fails is named, never dropped."""

import asyncio
import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from assay.checkpoint import read_checkpoint
from assay.engine import Engine
from data import labels
from data.labelling import Failure
from data.labels import MODEL, Label
from training.paper.adapter import with_adapter
from training.paper.base import load_base
from training.paper.merge import merge
from training.paper.regression import HEAD, load_head, regressor_of
from training.paper.scored import Asked, Asker, regressed, score_label, with_decimals
from training.paper.settings import Settings
from training.paper.stages import encoder_of

_TOGETHER = 8
UNREADABLE_FILE = "UNREADABLE_FILE"


@dataclass(frozen=True, slots=True)
class Trained:
    """What is scored, and how it is asked."""

    settings: Settings
    base: Path
    adapter: Path | None
    """What a stage wrote; None to ask the base itself."""
    forms: Path | None
    """An assay.toml, if the base brings none."""
    language_only: bool = False

    @property
    def is_head(self) -> bool:
        return self.adapter is not None and (self.adapter / HEAD).is_file()


def score_files(
    trained: Trained, asked: Asked, files: Sequence[Path], root: Path, out: Path, say: Callable[[str], None] = print
) -> list[Failure]:
    """Writes a label for each file (named relative to `root`) and item into `out`; returns the files without any."""
    say(f"scoring {len(files)} files")
    said, failures = (
        _by_head(trained, files, root) if trained.is_head else asyncio.run(_by_answer(trained, asked, files, root))
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    labels.write(said, out)
    say(f"{out}: {len(files) - len(failures)} of {len(files)} files")
    for failure in failures:
        say(f"no label for {failure.file}: {failure.message}")
    return failures


def _by_head(trained: Trained, files: Sequence[Path], root: Path) -> tuple[list[Label], list[Failure]]:
    assert trained.adapter is not None
    dtype = torch.bfloat16 if trained.settings.optimiser.precision == "bf16" else torch.float32
    regressor = regressor_of(with_adapter(load_base(trained.base, dtype), trained.adapter))
    load_head(regressor, trained.adapter)
    regressor.to("cuda" if torch.cuda.is_available() else "cpu")
    encoder = encoder_of(trained.base, trained.settings)
    by = f"{MODEL} regression-head {_fingerprint(trained.adapter)} {_fingerprint_of(trained.settings)}"
    said: list[Label] = []
    failures: list[Failure] = []
    for path in files:
        name = _name(path, root)
        try:
            said.append(score_label(name, regressed(regressor, encoder, [path])[0], by))
        except ValueError as unreadable:
            failures.append(Failure(name, UNREADABLE_FILE, str(unreadable)))
    return said, failures


async def _by_answer(
    trained: Trained, asked: Asked, files: Sequence[Path], root: Path
) -> tuple[list[Label], list[Failure]]:
    with tempfile.TemporaryDirectory() as temporary:
        directory = trained.base
        if trained.adapter is not None:
            directory = Path(temporary) / "merged"
            merge(trained.base, trained.adapter, directory, trained.forms, trained.language_only)
        forms = read_checkpoint(trained.forms.parent if trained.forms else directory)
        engine = Engine.load(directory)
        try:
            forms = with_decimals(forms, trained.settings.stage2.digits)
            asker = Asker(engine, forms, trained.settings.pictures, asked)
            by = f"{MODEL} {forms.name} {engine.checkpoint_fingerprint} {forms.preprocessing_fingerprint}"
            return await _all(asker, files, root, by)
        finally:
            engine.close()


async def _all(asker: Asker, files: Sequence[Path], root: Path, by: str) -> tuple[list[Label], list[Failure]]:
    said: list[Label] = []
    failures: list[Failure] = []
    for start in range(0, len(files), _TOGETHER):
        several = files[start : start + _TOGETHER]
        asking = [asker.labels(path, _name(path, root), by) for path in several]
        for path, found in zip(several, await asyncio.gather(*asking, return_exceptions=True), strict=True):
            if isinstance(found, ValueError):
                failures.append(Failure(_name(path, root), UNREADABLE_FILE, str(found)))
            elif isinstance(found, BaseException):
                raise found
            else:
                said += found
    return said, failures


def _fingerprint(run: Path) -> str:
    """Of the adapter and the head, as a served checkpoint has one of its weights."""
    both = b"".join((run / file).read_bytes() for file in ("adapter_model.safetensors", HEAD))
    return hashlib.sha256(both).hexdigest()[:16]


def _fingerprint_of(settings: Settings) -> str:
    return hashlib.sha256(settings.pictures.model_dump_json().encode()).hexdigest()[:16]


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
