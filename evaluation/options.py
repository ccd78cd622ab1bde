"""Groups of options that the commands share, and what each makes of them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from assay.checkpoint import FormName
from assay.client import DEFAULT_SERVER
from data.manifest import ManifestRow, read_manifest
from data.published import SETS
from data.tables import BadDataSet
from evaluation.measure import MeasureOptions

PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")

Server = Annotated[str, typer.Option(metavar="HOST:PORT")]
Concurrency = Annotated[int, typer.Option(min=1, metavar="N", help="files in flight")]
Timeout = Annotated[float, typer.Option(metavar="SECONDS", help="per file")]
Limit = Annotated[int | None, typer.Option(min=1, metavar="N", help="only the first N files")]
Seed = Annotated[int, typer.Option(help="of the bootstrap")]
Manifest = Annotated[Path, typer.Option(metavar="FILE.csv", help="columns file and mos")]
MosColumn = Annotated[str, typer.Option(metavar="NAME", help="column of the manifest")]
FilesRoot = Annotated[Path | None, typer.Option(metavar="DIR", help="of the files (default: the manifest's directory)")]
SetName = Annotated[str, typer.Option(metavar="NAME", help=", ".join(SETS))]
SetRoot = Annotated[Path, typer.Option(metavar="DIR", help="the set, laid out as its authors do")]
Served = Annotated[
    Path, typer.Option(metavar="DIR", help="the checkpoint that is served: its headings and phrases read the words")
]
TrainedOn = Annotated[str, typer.Option(metavar="SET", help="what the checkpoint learnt from, or base")]


def _in_a_directory(path: Path | None) -> Path | None:
    """Asked before anything is measured, so that nothing is lost in the end."""
    if path is not None and not path.parent.is_dir():
        raise typer.BadParameter(f"there is no directory {path.parent}")
    return path


def _share(value: float | None) -> float | None:
    if value is not None and not 0 < value < 1:
        raise typer.BadParameter(f"{value:g} is no share between 0 and 1")
    return value


JsonOut = Annotated[
    Path | None,
    typer.Option(metavar="FILE.json", help="write everything that was measured", callback=_in_a_directory),
]
HeldOutShare = Annotated[
    float | None,
    typer.Option(metavar="X", help="for a set without a published split that was trained on", callback=_share),
]


def asking(
    server: Server = DEFAULT_SERVER, form: FormName = "regular", concurrency: Concurrency = 4, timeout: Timeout = 1800.0
) -> MeasureOptions:
    """Where to ask, and how."""
    return MeasureOptions(server, form, concurrency, timeout)


def rated(
    manifest: Manifest, root: FilesRoot = None, mos_column: MosColumn = "mos", limit: Limit = None
) -> list[ManifestRow]:
    """For commands that need what people said."""
    return read_manifest(manifest, root, mos_column)[:limit]


def photos(
    photos: Annotated[Path | None, typer.Option(metavar="DIR", help="every photo below this directory")] = None,
    manifest: Annotated[Path | None, typer.Option(metavar="FILE.csv", help="or the files of a manifest")] = None,
    root: FilesRoot = None,
    mos_column: MosColumn = "mos",
    limit: Limit = None,
) -> list[Path]:
    """For commands that any photos will do for. BadDataSet if there is none."""
    if manifest and not photos:
        return [row.path for row in read_manifest(manifest, root, mos_column)][:limit]
    return files_below(exactly_one(photos=photos, manifest=manifest), PHOTOS, "photo")[:limit]


def exactly_one(**given: Any) -> Any:
    """The one option that was given. BadParameter if it is none or several."""
    named = [value for value in given.values() if value]
    if len(named) != 1:
        raise typer.BadParameter(f"give exactly one of {', '.join('--' + name for name in given)}")
    return named[0]


def files_below(directory: Path, suffixes: tuple[str, ...], what: str) -> list[Path]:
    """In alphabetical order. BadDataSet if there is none."""
    files = sorted(path for path in directory.rglob("*") if path.suffix.lower() in suffixes)
    if not files:
        raise BadDataSet(f"{directory} holds no {what}")
    return files


def reasoned_form(asked: MeasureOptions) -> FormName:
    """BadParameter for a form in which nothing is graded."""
    if asked.form == "direct":
        raise typer.BadParameter("the direct form says nothing but a number; use --form regular or natural")
    return "natural" if asked.form == "natural" else "regular"
