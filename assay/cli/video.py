"""Options of `assay score` that are about videos: their texts become VideoOptions."""

from enum import StrEnum
from typing import Annotated, TypeVar

import typer

from assay.errors import InvalidRequest
from assay.video import KeyFrames, Pooling, Sampling, VideoOptions

E = TypeVar("E", bound=StrEnum)
_PANEL = "Videos (the server's defaults where nothing is given)"

SamplingOption = Annotated[
    str,
    typer.Option(
        metavar="HOW:N",
        help="fps, or fps:RATE frames per second; uniform:COUNT frames over the whole video; scene:RATE: as fps, but "
        "no clip shows two scenes.",
        rich_help_panel=_PANEL,
    ),
]
KeyFramesOption = Annotated[
    KeyFrames | None,
    typer.Option(
        help="Whether the codec's key frames may stand for others. exact: never; auto: where it is worth while; only: "
        "nothing else is decoded.",
        rich_help_panel=_PANEL,
    ),
]
Window = Annotated[float | None, typer.Option(metavar="SECONDS", help="Length of a clip.", rich_help_panel=_PANEL)]
Hop = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="From one clip's start to the next's.", rich_help_panel=_PANEL),
]
Pool = Annotated[
    str,
    typer.Option(
        metavar="HOW:N",
        help="How clips' scores become one. mean; percentile:P, the score at P percent of the time, counted from the "
        "worst; worst:K, the mean of the worst K.",
        rich_help_panel=_PANEL,
    ),
]
KeepRepeats = Annotated[
    bool,
    typer.Option(
        "--keep-repeats",
        help="Score frames again that are nearly the same as the last.",
        rich_help_panel=_PANEL,
    ),
]


def video_options(
    sampling: str = "",
    key_frames: KeyFrames | None = None,
    window: float | None = None,
    hop: float | None = None,
    pool: str = "",
    keep_repeats: bool = False,
) -> VideoOptions:
    """BadParameter for what cannot be read; InvalidRequest names the option that is out of range."""
    how, number = _named("--sampling", sampling, Sampling)
    pooling, refined = _named("--pool", pool, Pooling)
    if pooling is Pooling.MEAN and refined is not None:
        raise typer.BadParameter(f"the mean takes no number, got {pool!r}", param_hint="--pool")
    return VideoOptions(
        sampling=how,
        frames_per_second=number if how in (Sampling.FPS, Sampling.SCENE) else None,
        frame_count=_whole(number) if how is Sampling.UNIFORM else None,
        key_frames=key_frames,
        keep_repeats=keep_repeats or None,
        window_seconds=window,
        hop_seconds=hop,
        pooling=pooling,
        percentile=refined if pooling is Pooling.PERCENTILE else None,
        worst_count=_whole(refined) if pooling is Pooling.WORST else None,
    )


def _named(option: str, text: str, known: type[E]) -> tuple[E | None, float | None]:
    if not text:
        return None, None
    name, colon, number = text.partition(":")
    if name not in [*known]:
        raise typer.BadParameter(f"unknown {name!r}; known are {', '.join(known)}", param_hint=option)
    try:
        return known(name), float(number) if colon else None
    except ValueError:
        raise typer.BadParameter(f"expected a number after ':', got {number!r}", param_hint=option) from None


def _whole(number: float | None) -> int | None:
    if number is not None and not number.is_integer():
        raise InvalidRequest(f"expected a whole number, got {number}")
    return None if number is None else int(number)
