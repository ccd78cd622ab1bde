"""Commands: what each measurement is called, what it can be told, and how it begins."""

import argparse
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from assay.checkpoint import FormName, read_checkpoint
from data.manifest import BadManifest, read_manifest
from evaluation import report
from evaluation.measure import Outcome, measure
from evaluation.options import (
    PHOTOS,
    add_photos,
    add_rated,
    add_settings,
    files_below,
    photos_of,
    settings_of,
)
from evaluation.tasks import faithfulness, grades, ladders, readings, repeats, robustness
from evaluation.tasks import video as videos

Report = tuple[dict[str, Any], list[Outcome], str]
"""Numbers for JSON, the outcome of every file that was sent, lines for a terminal."""

_VIDEOS = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v", ".ts", ".mpg")


@dataclass(frozen=True, slots=True)
class Command:
    """One measurement."""

    summary: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], Coroutine[Any, Any, Report]]


async def _correlation(options: argparse.Namespace) -> Report:
    rows = read_manifest(options.manifest, options.root, options.mos_column)[: options.limit]
    settings = settings_of(options)
    outcomes = await measure([partial(_itself, row.path) for row in rows], settings)
    numbers = report.report(rows, outcomes, settings, seed=options.seed)
    return {**numbers, "manifest": str(options.manifest)}, outcomes, report.table(numbers)


def _itself(path: Path) -> Path:
    return path


async def _ladders(options: argparse.Namespace) -> Report:
    numbers, outcomes = await ladders.climb(photos_of(options), settings_of(options))
    return numbers, outcomes, ladders.table(numbers)


async def _grades(options: argparse.Namespace) -> Report:
    _refuse_direct(options)
    return await grades.grade(photos_of(options), settings_of(options))


async def _robustness(options: argparse.Namespace) -> Report:
    return await robustness.robust(photos_of(options), settings_of(options))


async def _faithfulness(options: argparse.Namespace) -> Report:
    form: FormName = "natural" if options.form == "natural" else "regular"
    _refuse_direct(options)
    return await faithfulness.faithful(
        photos_of(options), read_checkpoint(options.checkpoint), form, settings_of(options)
    )


async def _readings(options: argparse.Namespace) -> Report:
    rows = read_manifest(options.manifest, options.root, options.mos_column)[: options.limit]
    return await readings.compare(rows, settings_of(options), options.seed)


async def _repeats(options: argparse.Namespace) -> Report:
    return await repeats.compare(photos_of(options), settings_of(options))


async def _video(options: argparse.Namespace) -> Report:
    is_photo = options.photos is not None
    files = files_below(options.photos, PHOTOS, "photo") if is_photo else files_below(options.videos, _VIDEOS, "video")
    sources = [videos.Source(path, is_photo) for path in files[: options.limit]]
    return await videos.climb(sources, settings_of(options))


def _refuse_direct(options: argparse.Namespace) -> None:
    if options.form == "direct":
        raise BadManifest("the direct form says nothing but a number; use --form regular or natural")


def _add_faithfulness(parser: argparse.ArgumentParser) -> None:
    add_photos(parser)
    told = "whose headings and phrases the words are read by; must be the one that is served (default checkpoints/nano)"
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoints/nano"), metavar="DIR", help=told)


def _add_video(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--videos", type=Path, metavar="DIR", help="the beginning of every video below this directory")
    where.add_argument("--photos", type=Path, metavar="DIR", help="slow pans over the photos below this directory")
    add_settings(parser, concurrency=2)
    parser.set_defaults(limit=8)


COMMANDS: Mapping[str, Command] = {
    "": Command("Scores every file of a manifest and correlates the scores with its MOS.", add_rated, _correlation),
    "ladders": Command("Damages photos in known steps: do scores and grades follow?", add_photos, _ladders),
    "grades": Command("Grades photos with known damage: are the grades right?", add_photos, _grades),
    "robustness": Command("The same photo in other wrappings: does the score stay?", add_photos, _robustness),
    "faithfulness": Command(
        "Do the words say the grades, and does another photo change them?", _add_faithfulness, _faithfulness
    ),
    "readings": Command("Which number read from the digits correlates best with MOS?", add_rated, _readings),
    "repeats": Command(
        "Clips of photos with and without frames that stand still: does the score stay?", add_photos, _repeats
    ),
    "video": Command(
        "Damages clips in known steps; a timeline with one bad second (default: 8 clips).", _add_video, _video
    ),
}
"""By name; the one without a name is `python -m evaluation --manifest FILE.csv`."""
