"""`python -m training.own_example --photos DIR --out DIR`: a rated folder to try training/own.py on.

Takes any folder of pictures, or with --data the open photos that nano was trained on (`open-photos.tar`, which is not
published). Nobody rated them, so the ratings are made: every photo stands there three times, as it is and twice with a
known damage, and its "mos" (1..5) is 4 less what the damage costs, moved up or down by how much contrast and colour
the photo has. Two attributes that the damage decides are given in words. It shows how the tool is used; a checkpoint
that is made from it knows damage and nothing of taste.
"""

import argparse
import csv
import sys
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from assay.attribute import KINDS
from assay.errors import AssayError
from training import degrade, labels
from training.degrade import Degradation, Pixels
from training.labels import Made
from training.photos import Photo, decodes, open_photos

_LONGEST_SIDE_PX = 720
_FEWEST_PHOTOS = 7
_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class Example:
    """One file of the folder."""

    file: str
    pixels: Pixels
    mos: float
    clarity: str
    exposure: str


def examples(photo: Photo, rng: np.random.Generator, number: int) -> Iterator[Example]:
    """The photo, the one of that number, as it is, and twice with a damage."""
    picture = Image.fromarray(photo.decode())
    picture.thumbnail((_LONGEST_SIDE_PX, _LONGEST_SIDE_PX), Image.Resampling.BICUBIC)
    pixels = np.asarray(picture)
    statistics = labels.pixel_statistics(pixels)
    liked = 4.0 + np.clip((statistics.chroma - 0.12) * 3 + (float(pixels.std()) / 255 - 0.22) * 2, -0.8, 0.9)
    stem = f"{number:04}-{Path(photo.file).stem}"
    for copy in range(3):
        kinds = rng.choice(degrade.KINDS, 1) if copy else ()
        done = tuple(degrade.draw(str(kind), rng) for kind in kinds)
        truth = labels.truth(Made(liked, 3.9, degradations=done), statistics)
        yield Example(
            f"{stem}-{copy}.jpg",
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


class NoPhotos(AssayError):
    """There is nothing to make an example of."""

    grpc_status = "FAILED_PRECONDITION"
    reason = "NO_PHOTOS"


def photos_in(folder: Path) -> list[Photo]:
    """Every picture below the folder that can be decoded. NoPhotos if there are fewer than are needed."""
    if not folder.is_dir():
        raise NoPhotos(f"{folder} is no folder; name one that holds pictures with --photos")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _PICTURES)
    photos = [Photo(path.name, "open", path.read_bytes(), None, None) for path in files]
    return _enough([photo for photo in photos if decodes(photo)], folder)


def archived_photos(data: Path) -> list[Photo]:
    """The open photos. NoPhotos says what to do where they are not."""
    archive = data / "open-photos.tar"
    try:
        return _enough(open_photos(data), archive)
    except (OSError, tarfile.TarError) as absent:
        why = "is not there" if isinstance(absent, FileNotFoundError) else f"cannot be read ({absent})"
        raise NoPhotos(
            f"{archive} {why}: the open photos are not published; name a folder of your own pictures with --photos"
        ) from absent


def _enough(photos: list[Photo], where: Path) -> list[Photo]:
    if len(photos) < _FEWEST_PHOTOS:
        raise NoPhotos(
            f"{where} holds {len(photos)} pictures that can be decoded, and {_FEWEST_PHOTOS} are the least: the "
            "example has each of them three times, and training takes twenty"
        )
    return photos


def write(photos: Iterable[Photo], out: Path) -> Path:
    """Writes the folder; its table. OSError if it cannot be written."""
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    table = out / "ratings.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("file", "mos", "clarity", "exposure"))
        for number, photo in enumerate(photos):
            for made in examples(photo, rng, number):
                Image.fromarray(made.pixels).save(out / made.file, quality=95)
                writer.writerow((made.file, round(made.mos, 3), made.clarity, made.exposure))
    return table


def main(argv: Sequence[str] | None = None) -> int:
    """The command; 2 with a sentence on stderr if there are no photos or no place for the example."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--photos", type=Path, help="folder with pictures of your own")
    source.add_argument("--data", type=Path, help="folder with open-photos.tar")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    options = parser.parse_args(argv)
    try:
        table = write(photos_in(options.photos) if options.photos else archived_photos(options.data), options.out)
    except NoPhotos as error:
        print(error.message, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{options.out} cannot be written: {error.strerror or error}; name another with --out", file=sys.stderr)
        return 2
    print(f"{table}: file, mos (1 to 5), clarity, exposure")
    return 0


if __name__ == "__main__":
    sys.exit(main())
