"""`python -m data COMMAND …`: data sets are checked and curated; label, doubtful and merge are a round of annotation.

Exit codes: 0 all is well, 1 something was found or some file got no label, 2 wrong use or bad data, 3 no server.
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
from data import correction, correlation, curation, examples, labelling, labels, miniature, splits
from data.published import PARTS, SETS
from data.rated import load
from data.tables import BadDataSet

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; the exit code."""
    options = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except NoServer as gone:
        print(f"data: {gone.message}", file=sys.stderr)
        return 3
    except AssayError as wrong:
        print(f"data: {wrong.message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("data: stopped; what was labelled is kept", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m data", description="The data sets of the paper.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    check = commands.add_parser("check", help="is a copy of a set whole, and does no file stand on both sides?")
    _add_set(check)
    check.add_argument("--pictures", action="store_true", help="also read all files: same bytes, look-alikes (slow)")
    check.add_argument("--against", type=Path, metavar="JSON", help="an earlier report, whose parts must be the same")
    check.add_argument("--out", type=Path, metavar="JSON", help="write the report")
    check.set_defaults(run=_check)

    small = commands.add_parser("miniature", help="write a made-up set of a dozen pictures in a set's layout")
    small.add_argument("name", choices=SETS)
    small.add_argument("--out", type=Path, required=True, metavar="DIR", help="new or empty folder")
    small.set_defaults(run=_miniature)

    curate = commands.add_parser("curate", help="point at pictures with subtitles, watermarks or seams; CSV")
    curate.add_argument("folder", type=Path, help="looked through with all its folders")
    curate.add_argument("--out", type=Path, required=True, metavar="CSV")
    curate.set_defaults(run=_curate)

    skill = commands.add_parser("filters", help="precision and recall of the filters of curate on generated examples")
    skill.add_argument("--seed", type=int, default=1, help="the thresholds were set on seed 0 (default: %(default)s)")
    skill.add_argument("--count", type=int, default=60, help="pictures of each kind (default: %(default)s)")
    skill.set_defaults(run=_filters)

    attributes = commands.add_parser("attributes", help="how each attribute goes with the MOS (the paper's figure 2)")
    _add_set(attributes)
    attributes.add_argument("--labels", type=Path, required=True, metavar="CSV", help="of `label`")
    attributes.add_argument("--out", type=Path, required=True, metavar="CSV")
    attributes.add_argument("--plot", type=Path, metavar="FILE", help=".png, .svg or .pdf; needs matplotlib")
    attributes.set_defaults(run=_attributes)
    _add_label(commands)
    _add_corrections(commands)
    return parser


def _add_label(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    label = commands.add_parser("label", help="ask a served model about every file of a set; can be taken up again")
    label.add_argument("name", choices=SETS)
    label.add_argument("--root", type=Path, required=True, metavar="DIR", help="where the set lies, as published")
    label.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="default: all")
    label.add_argument("--out", type=Path, required=True, metavar="CSV", help="labels are added to it")
    label.add_argument("--server", default=DEFAULT_SERVER, metavar="HOST:PORT", help="default: %(default)s")
    label.add_argument("--form", choices=("regular", "natural"), default="regular", help="default: %(default)s")
    label.add_argument("--at-once", type=int, default=4, help="files in flight (default: %(default)s)")
    label.set_defaults(run=_label)


def _add_corrections(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    doubtful = commands.add_parser("doubtful", help="write the labels that the model doubts into a sheet")
    doubtful.add_argument("labels", type=Path, metavar="CSV")
    doubtful.add_argument("--sheet", type=Path, required=True, metavar="CSV", help="new; opens in any spreadsheet")
    doubtful.add_argument(
        "--least-probability",
        type=float,
        default=correction.LEAST_PROBABILITY,
        help="of the chosen grade; less is doubtful (default: %(default)s)",
    )
    doubtful.add_argument(
        "--most-deviation",
        type=float,
        default=correction.MOST_DEVIATION,
        help="of the score, in tenths of its scale; more is doubtful (default: %(default)s)",
    )
    doubtful.set_defaults(run=_doubtful)

    merge = commands.add_parser("merge", help="put the corrections of a sheet into the labels")
    merge.add_argument("labels", type=Path, metavar="CSV")
    merge.add_argument("--sheet", type=Path, required=True, metavar="CSV")
    merge.add_argument("--out", type=Path, required=True, metavar="CSV", help="the merged labels")
    merge.set_defaults(run=_merge)


def _add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", choices=SETS)
    parser.add_argument("--root", type=Path, required=True, metavar="DIR", help="where the set lies, as published")


def _check(options: argparse.Namespace) -> int:
    report = splits.check(load(options.name, options.root), options.pictures, _tell)
    complaints = list(report.complaints)
    if options.against:
        complaints += splits.differences(report, _report(options.against))
    text = json.dumps(report.as_json() | {"complaints": complaints}, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    return 1 if complaints else 0


def _report(path: Path) -> dict[str, dict[str, str]]:
    try:
        report: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
        report["sha256"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadDataSet(f"{path} is no report of this command: {error}") from error
    return report


def _miniature(options: argparse.Namespace) -> int:
    if options.out.exists() and any(options.out.iterdir()):
        raise BadDataSet(f"{options.out} is not empty, and may be the real thing; take another folder")
    print(miniature.write_miniature(options.name, options.out))
    return 0


def _curate(options: argparse.Namespace) -> int:
    paths = sorted(path for path in options.folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    if not paths:
        raise BadDataSet(f"{options.folder} holds no pictures ({', '.join(PICTURE_SUFFIXES)})")
    rows = []
    for place, path in enumerate(paths, 1):
        finding = curation.look(path)
        numbers = {name: f"{value:.4f}" for name, value in finding.statistics.items()}
        rows.append({"file": path.relative_to(options.folder).as_posix(), **numbers, "flags": " ".join(finding.flags)})
        if place % 500 == 0 or place == len(paths):
            _tell(f"{place} of {len(paths)} pictures")
    labels.write_rows(options.out, ("file", *curation.THRESHOLDS, "flags"), rows)
    _tell(f"{sum(bool(row['flags']) for row in rows)} of {len(rows)} flagged")
    return 0


def _filters(options: argparse.Namespace) -> int:
    print("filter     precision  recall  (found/positives, wrong/negatives), generated examples only")
    for name, skill in examples.measure(options.seed, options.count).items():
        counts = f"({skill.found}/{skill.positives}, {skill.wrong}/{skill.negatives})"
        print(f"{name:10} {skill.precision:9.3f} {skill.recall:7.3f}  {counts}")
    return 0


def _attributes(options: argparse.Namespace) -> int:
    dataset = load(options.name, options.root)
    mos = {
        each.path.relative_to(options.root).as_posix(): each.mos
        for part in (dataset.train, dataset.validation, dataset.test)
        for each in part
    }
    rows = correlation.table(labelling.grades(labels.read(options.labels)), mos)
    correlation.write_table(rows, options.out)
    if options.plot:
        correlation.plot(rows, options.plot, f"Attributes and MOS, {options.name}")
    for row in rows:
        print(
            f"{row.attribute:20} {row.coding:23} n={row.count:<6} {_sign('SRCC', row.srcc)} {_sign('PLCC', row.plcc)}"
        )
    return 0


def _label(options: argparse.Namespace) -> int:
    dataset = load(options.name, options.root)
    files = [
        each.path.relative_to(options.root).as_posix() for part in options.parts for each in getattr(dataset, part)
    ]
    failures = asyncio.run(
        labelling.label(files, options.root, options.out, options.server, options.form, options.at_once, _tell)
    )
    if failures:
        beside = options.out.with_suffix(".failures.csv")
        labels.write_rows(beside, ("file", "reason", "message"), map(asdict, failures))
        _tell(f"{len(failures)} of {len(files)} files got no label, see {beside}; run it again to try them once more")
    return 1 if failures else 0


def _doubtful(options: argparse.Namespace) -> int:
    said = labels.read(options.labels)
    doubts = correction.doubtful(said, options.least_probability, options.most_deviation)
    correction.write_sheet(doubts, options.sheet)
    _tell(f"{len(doubts)} of {len(said)} labels are doubtful; fill correction and person in {options.sheet}")
    return 0


def _merge(options: argparse.Namespace) -> int:
    merged = correction.merge(labels.read(options.labels), options.sheet)
    labels.write(merged.said, options.out)
    counts = {"corrected": merged.corrected, "confirmed": merged.confirmed, "open": merged.open}
    print(json.dumps({"labels": len(merged.said), **counts}))
    return 0


def _sign(name: str, value: float | None) -> str:
    return f"{name} {'  none' if value is None else f'{value:+.3f}'}"


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
