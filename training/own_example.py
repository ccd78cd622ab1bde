"""`python -m training.own_example --data DIR --out DIR`: a rated folder to try training/own.py on.

Nobody rated the open photos, so the ratings are made: every photo stands there three times, as it is and twice with a
known damage, and its "mos" (1..5) is 4 less what the damage costs, moved up or down by how much contrast and colour
the photo has. Two attributes that the damage decides are given in words. It shows how the tool is used; a checkpoint
that is made from it knows damage and nothing of taste.
"""

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from assay.attribute import KINDS
from training import degrade, labels
from training.degrade import Degradation, Pixels
from training.labels import Made
from training.photos import Photo, open_photos

_LONGEST_SIDE_PX = 720


@dataclass(frozen=True, slots=True)
class Example:
    """One file of the folder."""

    file: str
    pixels: Pixels
    mos: float
    clarity: str
    exposure: str


def examples(photo: Photo, rng: np.random.Generator) -> Iterator[Example]:
    """The photo as it is, and twice with a damage."""
    picture = Image.fromarray(photo.decode())
    picture.thumbnail((_LONGEST_SIDE_PX, _LONGEST_SIDE_PX), Image.Resampling.BICUBIC)
    pixels = np.asarray(picture)
    seen = labels.looks(pixels)
    liked = 4.0 + np.clip((seen.chroma - 0.12) * 3 + (float(pixels.std()) / 255 - 0.22) * 2, -0.8, 0.9)
    stem = Path(photo.file).stem
    for number in range(3):
        kinds = rng.choice(degrade.KINDS, 1) if number else ()
        done = tuple(degrade.draw(str(kind), rng) for kind in kinds)
        truth = labels.truth(Made(liked, 3.9, degradations=done), seen)
        yield Example(
            f"{stem}-{number}.jpg",
            _damaged(pixels, done, rng),
            float(np.clip(1 + truth.score / 10 * 4, 1, 5)),
            _grade("clarity", truth.clarity),
            _grade("exposure", truth.exposure),
        )


def _damaged(pixels: Pixels, done: Sequence[Degradation], rng: np.random.Generator) -> Pixels:
    for degradation in done:
        pixels = degrade.degraded(pixels, degradation, rng)
    return pixels


def _grade(name: str, place: float) -> str:
    grades = KINDS[name].grades
    return grades[min(int(place), len(grades) - 1)]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with open-photos.tar")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    with (options.out / "ratings.csv").open("w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(("file", "mos", "clarity", "exposure"))
        for photo in open_photos(options.data):
            for made in examples(photo, rng):
                Image.fromarray(made.pixels).save(options.out / made.file, quality=95)
                writer.writerow((made.file, round(made.mos, 3), made.clarity, made.exposure))
    print(f"{options.out / 'ratings.csv'}: file, mos (1 to 5), clarity, exposure")
    return 0


if __name__ == "__main__":
    sys.exit(main())
