"""`python -m data COMMAND …`: data sets are checked and curated; label, doubtful and merge are a round of annotation.

Exit codes: 0 all is well, 1 something was found or some file got no label, 2 wrong use or bad data, 3 no server.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from assay.client import DEFAULT_SERVER
from data import attribute_correlation, command_line, correction, curation, labelling, labels, splits
from data.published import PARTS, SETS
from data.rated import load
from data.tables import BadDataSet, write_rows

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")

app = command_line.application("Data sets as their authors publish them, and rounds of annotation.")

Name = Annotated[str, typer.Argument(help=", ".join(SETS))]
Root = Annotated[Path, typer.Option(metavar="DIR", help="where the set lies, as published")]
Labels = Annotated[Path, typer.Argument(metavar="CSV")]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; the exit code."""
    return command_line.run(app, "data", argv)


@app.command()
def check(
    name: Name,
    root: Root,
    pictures: Annotated[
        bool, typer.Option("--pictures", help="also read all files: same bytes, near duplicates (slow)")
    ] = False,
    against: Annotated[
        Path | None, typer.Option(metavar="JSON", help="an earlier report, whose parts must be the same")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="JSON", help="write the report")] = None,
) -> int:
    """Is a copy of a set whole, and does no file stand on both sides?"""
    report = splits.check(load(name, root), pictures, _progress)
    complaints = list(report.complaints)
    if against:
        complaints += splits.differences(report, _report(against))
    text = json.dumps(report.as_json() | {"complaints": complaints}, indent=1)
    print(text)
    if out:
        out.write_text(text + "\n", encoding="utf-8")
    return 1 if complaints else 0


def _report(path: Path) -> dict[str, dict[str, str]]:
    try:
        report: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
        report["sha256"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadDataSet(f"{path} is no report of this command: {error}") from error
    return report


@app.command()
def curate(
    folder: Annotated[Path, typer.Argument(help="searched with all its folders")],
    out: Annotated[Path, typer.Option(metavar="CSV")],
) -> int:
    """Point at pictures with subtitles, watermarks or seams; CSV."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    if not paths:
        raise BadDataSet(f"{folder} holds no pictures ({', '.join(PICTURE_SUFFIXES)})")
    rows = []
    for place, path in enumerate(paths, 1):
        finding = curation.look(path)
        numbers = {name: f"{value:.4f}" for name, value in finding.statistics.items()}
        rows.append({"file": path.relative_to(folder).as_posix(), **numbers, "flags": " ".join(finding.flags)})
        if place % 500 == 0 or place == len(paths):
            _progress(f"{place} of {len(paths)} pictures")
    write_rows(out, ("file", *curation.THRESHOLDS, "flags"), rows)
    _progress(f"{sum(bool(row['flags']) for row in rows)} of {len(rows)} flagged")
    return 0


@app.command()
def attributes(
    name: Name,
    root: Root,
    labelled: Annotated[Path, typer.Option("--labels", metavar="CSV", help="of `label`")],
    out: Annotated[Path, typer.Option(metavar="CSV")],
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help=".png, .svg or .pdf; needs matplotlib")] = None,
) -> int:
    """How each attribute goes with the MOS (the paper's figure 2)."""
    dataset = load(name, root)
    mos = {
        each.path.relative_to(root).as_posix(): each.mos
        for part in (dataset.train, dataset.validation, dataset.test)
        for each in part
    }
    rows = attribute_correlation.table(labels.grades(labels.read(labelled)), mos)
    attribute_correlation.write_table(rows, out)
    if plot:
        attribute_correlation.plot(rows, plot, f"Attributes and MOS, {name}")
    for row in rows:
        print(
            f"{row.attribute:20} {row.coding:23} n={row.count:<6} {_sign('SRCC', row.srcc)} {_sign('PLCC', row.plcc)}"
        )
    return 0


@app.command()
def label(
    name: Name,
    root: Root,
    out: Annotated[Path, typer.Option(metavar="CSV", help="labels are added to it")],
    parts: Annotated[str, typer.Option(metavar="PART,...", help="some of them")] = ",".join(PARTS),
    server: Annotated[str, typer.Option(metavar="HOST:PORT")] = DEFAULT_SERVER,
    form: Literal["regular", "natural"] = "regular",
    at_once: Annotated[int, typer.Option(min=1, help="files in flight")] = 4,
) -> int:
    """Ask a served model about every file of a set; can be taken up again."""
    dataset = load(name, root)
    chosen = parts.split(",")
    if unknown := set(chosen) - set(PARTS):
        raise typer.BadParameter(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    files = [each.path.relative_to(root).as_posix() for part in chosen for each in getattr(dataset, part)]
    failures = asyncio.run(labelling.label(files, root, out, server, form, at_once, _progress))
    if failures:
        failed = out.with_suffix(".failures.csv")
        write_rows(failed, ("file", "reason", "message"), map(asdict, failures))
        _progress(f"{len(failures)} of {len(files)} files got no label, see {failed}; run it again to retry them")
    return 1 if failures else 0


@app.command()
def doubtful(
    labelled: Labels,
    sheet: Annotated[Path, typer.Option(metavar="CSV", help="new; opens in any spreadsheet")],
    least_probability: Annotated[
        float, typer.Option(help="of the chosen grade; less is doubtful")
    ] = correction.LEAST_PROBABILITY,
    most_deviation: Annotated[
        float, typer.Option(help="of the score, in tenths of its scale; more is doubtful")
    ] = correction.MOST_DEVIATION,
) -> int:
    """Write the labels that the model doubts into a sheet."""
    said = labels.read(labelled)
    doubts = correction.doubtful(said, least_probability, most_deviation)
    correction.write_sheet(doubts, sheet)
    _progress(f"{len(doubts)} of {len(said)} labels are doubtful; fill correction and person in {sheet}")
    return 0


@app.command()
def merge(
    labelled: Labels,
    sheet: Annotated[Path, typer.Option(metavar="CSV")],
    out: Annotated[Path, typer.Option(metavar="CSV", help="the merged labels")],
) -> int:
    """Put the corrections of a sheet into the labels."""
    merged = correction.merge(labels.read(labelled), sheet)
    labels.write(merged.said, out)
    counts = {"corrected": merged.corrected, "confirmed": merged.confirmed, "open": merged.open}
    print(json.dumps({"labels": len(merged.said), **counts}))
    return 0


def _sign(name: str, value: float | None) -> str:
    return f"{name} {'  none' if value is None else f'{value:+.3f}'}"


def _progress(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
