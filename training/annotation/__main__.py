"""`python -m training.annotation COMMAND …`: label, then doubtful, then a person's work in the sheet, then merge.

Exit codes: 0 all is well, 1 some file got no label, 2 wrong use or bad data, 3 no server.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from assay.client import DEFAULT_SERVER, NoServer
from assay.errors import AssayError
from training.annotation import asking, correcting, labels
from training.datasets.published import PARTS, SETS
from training.datasets.rated import load


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; the exit code."""
    options = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except NoServer as gone:
        print(f"training.annotation: {gone.message}", file=sys.stderr)
        return 3
    except AssayError as wrong:
        print(f"training.annotation: {wrong.message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("training.annotation: stopped; what was labelled is kept", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.annotation", description="A round of annotation.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    label = commands.add_parser("label", help="ask a served model about every file of a set; can be taken up again")
    label.add_argument("name", choices=SETS)
    label.add_argument("--root", type=Path, required=True, metavar="DIR", help="where the set lies, as published")
    label.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="default: all")
    label.add_argument("--out", type=Path, required=True, metavar="CSV", help="labels are added to it")
    label.add_argument("--server", default=DEFAULT_SERVER, metavar="HOST:PORT", help="default: %(default)s")
    label.add_argument("--form", choices=("regular", "natural"), default="regular", help="default: %(default)s")
    label.add_argument("--at-once", type=int, default=4, help="files in flight (default: %(default)s)")
    label.set_defaults(run=_label)

    doubtful = commands.add_parser("doubtful", help="write the labels that the model doubts into a sheet")
    doubtful.add_argument("labels", type=Path, metavar="CSV")
    doubtful.add_argument("--sheet", type=Path, required=True, metavar="CSV", help="new; opens in any spreadsheet")
    doubtful.add_argument(
        "--least-probability",
        type=float,
        default=correcting.LEAST_PROBABILITY,
        help="of the chosen grade; less is doubtful (default: %(default)s)",
    )
    doubtful.add_argument(
        "--most-deviation",
        type=float,
        default=correcting.MOST_DEVIATION,
        help="of the score, in tenths of its scale; more is doubtful (default: %(default)s)",
    )
    doubtful.set_defaults(run=_doubtful)

    merge = commands.add_parser("merge", help="put the corrections of a sheet into the labels")
    merge.add_argument("labels", type=Path, metavar="CSV")
    merge.add_argument("--sheet", type=Path, required=True, metavar="CSV")
    merge.add_argument("--out", type=Path, required=True, metavar="CSV", help="the merged labels")
    merge.set_defaults(run=_merge)
    return parser


def _label(options: argparse.Namespace) -> int:
    dataset = load(options.name, options.root)
    files = [
        each.path.relative_to(options.root).as_posix() for part in options.parts for each in getattr(dataset, part)
    ]
    failures = asyncio.run(
        asking.label(files, options.root, options.out, options.server, options.form, options.at_once, _tell)
    )
    if failures:
        beside = options.out.with_suffix(".failures.csv")
        labels.write_rows(beside, ("file", "reason", "message"), map(asdict, failures))
        _tell(f"{len(failures)} of {len(files)} files got no label, see {beside}; run it again to try them once more")
    return 1 if failures else 0


def _doubtful(options: argparse.Namespace) -> int:
    said = labels.read(options.labels)
    doubts = correcting.doubtful(said, options.least_probability, options.most_deviation)
    correcting.write_sheet(doubts, options.sheet)
    _tell(f"{len(doubts)} of {len(said)} labels are doubtful; fill correction and person in {options.sheet}")
    return 0


def _merge(options: argparse.Namespace) -> int:
    merged = correcting.merge(labels.read(options.labels), options.sheet)
    labels.write(merged.said, options.out)
    counts = {"corrected": merged.corrected, "confirmed": merged.confirmed, "open": merged.open}
    print(json.dumps({"labels": len(merged.said), **counts}))
    return 0


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
