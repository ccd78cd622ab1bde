"""Scoring: what a trained stage says of files, as labels in a CSV file; a file that fails is named, never dropped.

It is asked by the engine that is served from, in the forms that are served: for rows that no server can answer (the
regression head) or that are not worth a server each (ablations). Everything else is measured through the gateway.
"""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from assay.attribute import KINDS
from assay.checkpoint import ModelSpec, read_checkpoint
from assay.digits import score_from_digits
from assay.engine import Engine
from assay.form import Choice, Form, Free
from assay.frame import Clip
from assay.generator import Chose, Conversation, Event, Generator, NumberWritten, Wrote
from assay.prompt import SCORE, answer_form, grade_of_option, question
from data import labels
from data.labelling import LabelFailure
from data.labels import MODEL, Label
from training.recipe.adapter import with_adapter
from training.recipe.base import load_base
from training.recipe.encoding import Encoder, batch_of
from training.recipe.example import stage1_question, wording
from training.recipe.merge import merge
from training.recipe.picture import read_picture
from training.recipe.regression import HEAD, SCALE, Regressor, load_head, regressor_of
from training.recipe.settings import PictureSettings, Settings
from training.recipe.stages import encoder_of

Asked = Literal["direct", "regular", "attributes"]


@dataclass(frozen=True, slots=True)
class Said:
    """One answer, by segment."""

    text: str
    """All of it, as written."""
    values: Mapping[str, str]
    """Attribute (or its reason) to the grade or the words."""
    score: float | None
    """In units of the checkpoint's scale; None if the form asked for none."""


@dataclass(frozen=True, slots=True)
class Asker:
    """A model and what it is asked. `attributes` is the question of Mix in the regular form, up to the score."""

    generator: Generator
    checkpoint: ModelSpec
    pictures: PictureSettings
    asked: Asked

    async def labels(self, path: Path, file: str, by: str) -> list[Label]:
        """The score and every grade. ValueError names a file that is no picture."""
        clip = read_picture(path, self.pictures, self.checkpoint.pixels.factor_px)
        form = answer_form(self.checkpoint, "direct" if self.asked == "direct" else "regular")
        if self.asked == "attributes":
            said = await answered(self.generator, self.checkpoint, clip, stage1_question("mix"), form.before(SCORE))
        else:
            asked = question(self.checkpoint, self.asked, is_video=False)
            said = await answered(self.generator, self.checkpoint, clip, asked, form)
        grades = {name: value for name, value in said.values.items() if name in KINDS}
        if named := [said.values[name] for name in ("subject", "background") if said.values.get(name)]:
            grades["subject_and_background"] = "; ".join(named)
        items = [Label(file, name, value, "", "", "", by, "", "") for name, value in grades.items()]
        return [*items, *([score_label(file, said.score, by)] if said.score is not None else [])]


async def answered(generator: Generator, checkpoint: ModelSpec, clip: Clip, asked: str, form: Form) -> Said:
    """The form filled in."""
    texts: list[str] = []
    values = {segment.name: "" for segment in form if isinstance(segment, Free | Choice)}
    score: float | None = None
    events: AsyncGenerator[Event, None] = generator.generate(clip, Conversation(asked), form)
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Wrote):
                texts.append(event.text)
                if event.segment in values:
                    values[event.segment] += event.text
            elif isinstance(event, Chose) and event.segment in KINDS:
                values[event.segment] = grade_of_option(checkpoint, event.segment, event.option)
            elif isinstance(event, NumberWritten):
                score = score_from_digits(event, checkpoint.scale, checkpoint.score.expectation).value
    return Said("".join(texts), {name: value.strip() for name, value in values.items()}, score)


def with_decimals(checkpoint: ModelSpec, digits: int) -> ModelSpec:
    """The same forms with a number of M = `digits` digits, as a model of the digit ablation writes it."""
    rules = checkpoint.digits[SCORE].model_copy(update={"decimals": digits - 1})
    return checkpoint.model_copy(update={"digits": {**checkpoint.digits, SCORE: rules}})


@torch.inference_mode()
def regressed(regressor: Regressor, encoder: Encoder, pictures: Sequence[Path]) -> list[float]:
    """The head's scores, in [0, 10]. ValueError names a file that is no picture."""
    asked = wording()["direct"]["question"].format(kind="image")
    regressor.eval()
    device = next(regressor.parameters()).device
    special = encoder.text.special
    scores: list[float] = []
    for path in pictures:
        batch = batch_of([encoder.question(path, asked)], special.image_pad, special.im_end)
        scores.append(SCALE * float(regressor(batch.to(device))))
    return scores


def score_label(file: str, score: float, by: str) -> Label:
    return Label(file, labels.SCORE, f"{score:.4f}", "", "", f"0..{SCALE:g}", by, "", "")


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
) -> list[LabelFailure]:
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


def _by_head(trained: Trained, files: Sequence[Path], root: Path) -> tuple[list[Label], list[LabelFailure]]:
    assert trained.adapter is not None
    dtype = torch.bfloat16 if trained.settings.optimiser.precision == "bf16" else torch.float32
    regressor = regressor_of(with_adapter(load_base(trained.base, dtype), trained.adapter))
    load_head(regressor, trained.adapter)
    regressor.to("cuda" if torch.cuda.is_available() else "cpu")
    encoder = encoder_of(trained.base, trained.settings)
    by = f"{MODEL} regression-head {_fingerprint(trained.adapter)} {_fingerprint_of(trained.settings)}"
    said: list[Label] = []
    failures: list[LabelFailure] = []
    for path in files:
        name = _name(path, root)
        try:
            said.append(score_label(name, regressed(regressor, encoder, [path])[0], by))
        except ValueError as unreadable:
            failures.append(LabelFailure(name, UNREADABLE_FILE, str(unreadable)))
    return said, failures


async def _by_answer(
    trained: Trained, asked: Asked, files: Sequence[Path], root: Path
) -> tuple[list[Label], list[LabelFailure]]:
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


async def _all(asker: Asker, files: Sequence[Path], root: Path, by: str) -> tuple[list[Label], list[LabelFailure]]:
    said: list[Label] = []
    failures: list[LabelFailure] = []
    for start in range(0, len(files), _TOGETHER):
        several = files[start : start + _TOGETHER]
        asking = [asker.labels(path, _name(path, root), by) for path in several]
        for path, found in zip(several, await asyncio.gather(*asking, return_exceptions=True), strict=True):
            if isinstance(found, ValueError):
                failures.append(LabelFailure(_name(path, root), UNREADABLE_FILE, str(found)))
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
