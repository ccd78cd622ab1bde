"""`python -m evaluation claims`: is what the sentences say of a photo true? Each claim is measured in the file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from assay.checkpoint import FormName, ModelSpec, read_checkpoint
from assay.cli.options import with_options
from assay.client import Window
from evaluation import options
from evaluation.claims_page import PagePhoto, claims_page
from evaluation.ladder import original
from evaluation.measure import Failed, MeasureOptions, Outcome, measure, refuse_another_checkpoint
from evaluation.pixel_claims import CHECKED, Checked, balanced_accuracy, check
from evaluation.report import Report, cell, columns, opening, opening_lines, printed, share
from evaluation.words import reasons_in
from training.claims import ClaimKind
from training.subjects import UNSURE

_UNNAMED = UNSURE.strip()


async def claimed(
    photos: Sequence[Path],
    checkpoint: ModelSpec,
    form_name: FormName,
    settings: MeasureOptions,
    page: Path | None = None,
) -> Report:
    """Asks for every photo: numbers, outcomes and the table; the page is written where one is wanted."""
    outcomes = await measure(photos, settings)
    refuse_another_checkpoint(checkpoint, outcomes)
    checked_photo = [
        _checked_photo(photo, outcome, checkpoint, form_name) for photo, outcome in zip(photos, outcomes, strict=True)
    ]
    answered = [each for each in checked_photo if each is not None]
    every = [claim for each in answered for claim in each.checked]
    windows = [each.window for each in answered]
    numbers = {
        **opening(outcomes, settings),
        "photos": len(photos),
        "kinds": {kind.name: _of_kind(kind, every) for kind in CHECKED},
        "all": {"n": len(every), "true": share(sum(claim.is_true for claim in every), len(every))},
        "sentences": len({sentence for each in answered for sentence in each.sentences}),
        "named": share(sum(_is_named(window) for window in windows), len(windows)),
        "likeliest": _likeliest(windows),
        "rows": [
            _row(photo, outcome, each) for photo, outcome, each in zip(photos, outcomes, checked_photo, strict=True)
        ],
    }
    if page is not None:
        _write(page, answered)
    return numbers, outcomes, table(numbers)


def _write(page: Path, answered: Sequence[PagePhoto]) -> None:
    page.write_text(claims_page(answered), encoding="utf-8")


def _checked_photo(photo: Path, outcome: Outcome, checkpoint: ModelSpec, form_name: FormName) -> PagePhoto | None:
    if isinstance(outcome, Failed):
        return None
    window = outcome.windows[0]
    # In prose both reasons are read from the one text.
    sentences = tuple(dict.fromkeys(reasons_in(checkpoint, form_name, window.reasoning).values()))
    picture = original(photo)
    return PagePhoto(photo.name, picture, window, sentences, tuple(check("\n".join(sentences), picture)))


def _of_kind(kind: ClaimKind, every: list[Checked]) -> dict[str, Any]:
    mine = [claim for claim in every if claim.kind == kind.name]
    values = {claim.measured for claim in mine}
    return {
        "n": len(mine),
        "true": share(sum(claim.is_true for claim in mine), len(mine)),
        "balanced": balanced_accuracy(mine, kind) if mine else None,
        # Who always says one value is right in all photos that have it, and in no other.
        "always_the_same": share(1, len(values)),
    }


def _is_named(window: Window) -> bool:
    checked_photo = window.attributes.get("subject_and_background")
    return checked_photo is not None and _UNNAMED not in checked_photo.text


def _likeliest(windows: Sequence[Window]) -> float | None:
    """Share of the grades of which no other is more probable."""
    graded = [each for window in windows for each in window.attributes.values() if each.probabilities]
    return share(
        sum(each.probabilities[each.grade] == max(each.probabilities.values()) for each in graded), len(graded)
    )


def _row(photo: Path, outcome: Outcome, checked_photo: PagePhoto | None) -> dict[str, Any]:
    if checked_photo is None:
        assert isinstance(outcome, Failed)
        return {"file": str(photo), "reason": outcome.reason, "message": outcome.message}
    claims = {
        claim.kind: {"said": claim.said, "measured": claim.measured, "true": claim.is_true}
        for claim in checked_photo.checked
    }
    return {"file": str(photo), "reasoning": checked_photo.window.reasoning, "claims": claims}


def table(numbers: dict[str, Any]) -> str:
    """The report in lines for a terminal."""
    rows = [
        (name, str(row["n"]), *(cell(row[key], ".2f") for key in ("true", "balanced", "always_the_same")))
        for name, row in (
            *numbers["kinds"].items(),
            ("all", {"balanced": None, "always_the_same": None, **numbers["all"]}),
        )
    ]
    return "\n".join(
        [
            *opening_lines(numbers),
            f"photos          {numbers['photos']}",
            "",
            *columns(("claim", "n", "true", "balanced accuracy", "of one value always"), rows),
            "",
            f"different sentences {numbers['sentences']}; subject named in {cell(numbers['named'], '.2f')}; "
            f"the served grade is the likeliest in {cell(numbers['likeliest'], '.2f')}",
        ]
    )


@with_options(options.photos, options.asking)
def command(
    photos: list[Path],
    asked: MeasureOptions,
    checkpoint: options.Served = Path("checkpoints/nano"),
    page: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="write every photo with what was said of it")
    ] = None,
    out: options.JsonOut = None,
) -> int:
    """Is what the sentences say of a photo true?"""
    form = options.reasoned_form(asked)
    return printed(claimed(photos, read_checkpoint(checkpoint), form, asked, page), out)
