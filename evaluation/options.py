"""Options that the commands share, and what is made of them."""

import argparse
from pathlib import Path

from assay.client import DEFAULT_SERVER
from assay.wire import FORM_TO_WIRE
from data.manifest import BadManifest, read_manifest
from evaluation.measure import Settings

PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


def add_rated(parser: argparse.ArgumentParser) -> None:
    """For commands that need what people said."""
    parser.add_argument("--manifest", type=Path, required=True, metavar="FILE.csv", help="columns file and mos")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default 0)")
    _add_manifest(parser)
    add_settings(parser)


def add_photos(parser: argparse.ArgumentParser) -> None:
    """For commands that any photos will do for."""
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--photos", type=Path, metavar="DIR", help="every photo below this directory")
    where.add_argument("--manifest", type=Path, metavar="FILE.csv", help="the files of a manifest")
    _add_manifest(parser)
    add_settings(parser)


def _add_manifest(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", type=Path, metavar="DIR", help="where the files lie (default: beside the manifest)")
    parser.add_argument("--mos-column", default="mos", metavar="NAME", help="column of the manifest (default mos)")


def add_settings(parser: argparse.ArgumentParser, *, concurrency: int = 4) -> None:
    """Where to ask, and how."""
    parser.add_argument("--server", default=DEFAULT_SERVER, metavar="HOST:PORT", help=f"default {DEFAULT_SERVER}")
    parser.add_argument("--form", choices=list(FORM_TO_WIRE), default="regular")
    many = f"files in flight (default {concurrency})"
    parser.add_argument("--concurrency", type=count, default=concurrency, metavar="N", help=many)
    parser.add_argument("--timeout", type=float, default=1800.0, metavar="SECONDS", help="per file (default 1800)")
    parser.add_argument("--limit", type=count, metavar="N", help="only the first N files")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="write everything that was measured")


def count(text: str) -> int:
    """A whole number from 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, got {text!r}")
    return int(text)


def settings_of(options: argparse.Namespace) -> Settings:
    return Settings(options.server, options.form, options.concurrency, options.timeout)


def photos_of(options: argparse.Namespace) -> list[Path]:
    """The first --limit photos. BadManifest if there is none."""
    if options.manifest:
        return [row.path for row in read_manifest(options.manifest, options.root, options.mos_column)][: options.limit]
    return files_below(options.photos, PHOTOS, "photo")[: options.limit]


def files_below(directory: Path, suffixes: tuple[str, ...], what: str) -> list[Path]:
    """In alphabetical order. BadManifest if there is none."""
    files = sorted(path for path in directory.rglob("*") if path.suffix.lower() in suffixes)
    if not files:
        raise BadManifest(f"{directory} holds no {what}")
    return files
