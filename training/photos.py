"""Photos: what lies in the data folder, decoded on demand, and the rule which of them are never trained on."""

import csv
import io
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RATED_HELD_OUT_ONE_IN = 10
OPEN_HELD_OUT_ONE_IN = 5


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo as it lies in its archive."""

    file: str
    source: str
    """"rated" by people for looks and quality (PARA), "native": rated for quality at its native size (LIVE-FB), or
    "open": sharp, larger and rated by nobody."""
    encoded: bytes
    mos: float | None
    """Mean aesthetic score of about 25 raters, 1..5 (of LIVE-FB: mean opinion of quality, 0..100); None where nobody
    rated it."""
    quality: float | None
    """Mean quality score of the same raters, in the same unit."""

    @property
    def is_held_out(self) -> bool:
        return is_held_out(self.file, self.source)

    def decode(self) -> NDArray[np.uint8]:
        """(height, width, 3) uint8 RGB. OSError if the file is damaged."""
        with Image.open(io.BytesIO(self.encoded)) as picture:
            return np.asarray(picture.convert("RGB"))


def is_held_out(file: str, source: str) -> bool:
    """True for a photo that no training step may see. Depends on the file's name alone, without its folder."""
    one_in = {"rated": RATED_HELD_OUT_ONE_IN, "native": RATED_HELD_OUT_ONE_IN, "open": OPEN_HELD_OUT_ONE_IN}[source]
    return zlib.crc32(file.rsplit("/", 1)[-1].encode()) % one_in == 0


def para_photos(data: Path) -> list[Photo]:
    """The rated photos, in the order of their table."""
    with (data / "para-train.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    encoded: dict[str, bytes] = {}
    for shard in sorted({row["shard"] for row in rows}):
        encoded.update(_members(data / shard))
    return [Photo(row["file"], "rated", encoded[row["file"]], float(row["mos"]), float(row["quality"])) for row in rows]


def native_photos(data: Path) -> list[Photo]:
    """The photos rated for technical quality at their native size, in the order of their table; none where the data
    folder has no such table."""
    if not (data / "flive-train.csv").exists():
        return []
    with (data / "flive-train.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    encoded = dict(_members(data / "flive-train.tar"))
    return [Photo(row["file"], "native", encoded[row["file"]], float(row["mos"]), float(row["mos"])) for row in rows]


def open_photos(data: Path) -> list[Photo]:
    """The sharp, larger photos that decode to their last byte."""
    photos = [Photo(file, "open", encoded, None, None) for file, encoded in _members(data / "open-photos.tar")]
    return [photo for photo in photos if decodes(photo)]


def split(photos: Sequence[Photo]) -> tuple[list[Photo], list[Photo]]:
    """(to train on, held out)."""
    return [p for p in photos if not p.is_held_out], [p for p in photos if p.is_held_out]


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is not None:
                yield member.name, content.read()


def decodes(photo: Photo) -> bool:
    try:
        photo.decode()
    except OSError:
        return False
    return True
