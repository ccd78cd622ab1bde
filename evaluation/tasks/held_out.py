"""`python -m evaluation held-out --data DIR --out DIR`: the photos that training never saw, as files.

OUT/manifest.csv names PARA's (file, mos: mean aesthetic score 1..5, quality: mean quality score 1..5, about 25 raters
each), OUT/native.csv LIVE-FB's at their native size (mos and quality: mean opinion 0..100); OUT/open/ holds the larger
ones that nobody rated. Which photos are held out is
training/photos.py's rule. The photos are not ours to pass on: a folder that git would take up is refused.
"""

import csv
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from training.photos import Photo, native_photos, open_photos, para_photos, split

MANIFEST, NATIVE_MANIFEST = "manifest.csv", "native.csv"


def unpack(data: Path, out: Path) -> tuple[int, int, int]:
    """How many photos of PARA, of LIVE-FB and open ones were written. OSError, KeyError if the data folder is not what
    it should be."""
    rated, native, sharp = (split(photos(data))[1] for photos in (para_photos, native_photos, open_photos))
    for photo in (*rated, *native, *sharp):
        path = out / photo.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo.encoded)
    _write_manifest(rated, out / MANIFEST)
    if native:
        _write_manifest(native, out / NATIVE_MANIFEST)
    return len(rated), len(native), len(sharp)


def _write_manifest(rated: Sequence[Photo], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(("file", "mos", "quality"))
        writer.writerows((photo.file, photo.mos, photo.quality) for photo in rated)


def would_be_committed(directory: Path) -> bool:
    """Whether the directory lies in a git checkout that does not ignore it."""
    existing = next(parent for parent in (directory, *directory.parents) if parent.is_dir())
    asked = ["git", "check-ignore", "-q", str(directory / MANIFEST)]
    try:
        # 0 ignored, 1 not ignored, 128 no repository.
        return subprocess.run(asked, cwd=existing, capture_output=True, check=False).returncode == 1
    except FileNotFoundError:
        return False


def command(
    data: Annotated[Path, typer.Option(metavar="DIR", help="folder with para-train.csv and open-photos.tar")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder to write, outside of what git takes up")],
) -> int:
    """Write the photos that training never saw as files with a manifest."""
    if would_be_committed(out.absolute()):
        raise typer.BadParameter(f"git would take up {out}; choose a folder outside the checkout, or below runs/")
    rated, native, sharp = unpack(data, out)
    others = f", {native} at native size ({out / NATIVE_MANIFEST})" if native else ""
    print(f"{rated} rated photos ({out / MANIFEST}){others}, {sharp} others ({out / 'open'})")
    return 0
