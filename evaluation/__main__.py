"""`python -m evaluation --manifest FILE.csv`, `python -m evaluation ladders --photos DIR`.

Exit codes: 0 everything was scored, 1 some file was not (the report counts it), 2 wrong use, 3 no server.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from assay.client import DEFAULT_SERVER
from assay.wire import FORM_TO_WIRE
from evaluation import ladders, report
from evaluation.manifest import BadManifest, read_manifest
from evaluation.measure import Failed, Outcome, Settings, exit_code, measure

_PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints; the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    is_ladders = arguments[:1] == ["ladders"]
    parser = _ladders_parser() if is_ladders else _correlation_parser()
    options = parser.parse_args(arguments[is_ladders:])
    if options.out and not options.out.parent.is_dir():
        parser.error(f"--out: there is no directory {options.out.parent}")
    try:
        numbers, outcomes, text = asyncio.run((_ladders if is_ladders else _correlation)(options))
    except BadManifest as error:
        parser.error(error.message)
    except KeyboardInterrupt:
        print("evaluation: stopped; nothing was written", file=sys.stderr)
        return 130
    print(text)
    if options.out:
        report.write_json(numbers, options.out)
    _complain(outcomes)
    return exit_code(outcomes)


async def _correlation(options: argparse.Namespace) -> tuple[dict[str, Any], list[Outcome], str]:
    rows = read_manifest(options.manifest, options.root, options.mos_column)[: options.limit]
    settings = _settings(options)
    outcomes = await measure([partial(_itself, row.path) for row in rows], settings)
    numbers = report.report(rows, outcomes, settings, seed=options.seed)
    return {**numbers, "manifest": str(options.manifest)}, outcomes, report.table(numbers)


def _itself(path: Path) -> Path:
    return path


async def _ladders(options: argparse.Namespace) -> tuple[dict[str, Any], list[Outcome], str]:
    numbers, outcomes = await ladders.climb(_photos(options), _settings(options))
    return numbers, outcomes, ladders.table(numbers)


def _photos(options: argparse.Namespace) -> list[Path]:
    if options.manifest:
        return [row.path for row in read_manifest(options.manifest, options.root, options.mos_column)][: options.limit]
    photos = sorted(path for path in options.photos.rglob("*") if path.suffix.lower() in _PHOTOS)
    if not photos:
        raise BadManifest(f"{options.photos} holds no photo")
    return photos[: options.limit]


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(options.server, options.form, options.concurrency, options.timeout)


def _complain(outcomes: Sequence[Outcome]) -> None:
    """The first sentence of each reason, so that a failed run says what to do."""
    sentences = {outcome.reason: outcome.message for outcome in reversed(outcomes) if isinstance(outcome, Failed)}
    for reason, message in sentences.items():
        print(f"evaluation: {reason}: {message}", file=sys.stderr)


def _correlation_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation",
        description="Scores every file of a manifest through a gateway and correlates the scores with its MOS.",
        epilog="See also: python -m evaluation ladders --help",
    )
    parser.add_argument("--manifest", type=Path, required=True, metavar="FILE.csv", help="columns file and mos")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default 0)")
    _add_common(parser)
    return parser


def _ladders_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation ladders",
        description="Damages photos in known steps and measures whether scores and grades follow.",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--photos", type=Path, metavar="DIR", help="every photo below this directory")
    where.add_argument("--manifest", type=Path, metavar="FILE.csv", help="the files of a manifest")
    _add_common(parser)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", type=Path, metavar="DIR", help="where the files lie (default: beside the manifest)")
    parser.add_argument("--mos-column", default="mos", metavar="NAME", help="column of the manifest (default mos)")
    parser.add_argument("--server", default=DEFAULT_SERVER, metavar="HOST:PORT", help=f"default {DEFAULT_SERVER}")
    parser.add_argument("--form", choices=list(FORM_TO_WIRE), default="regular")
    parser.add_argument("--concurrency", type=_count, default=4, metavar="N", help="files in flight (default 4)")
    parser.add_argument("--timeout", type=float, default=1800.0, metavar="SECONDS", help="per file (default 1800)")
    parser.add_argument("--limit", type=_count, metavar="N", help="only the first N files")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="write everything that was measured")


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, got {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
