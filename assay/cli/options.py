"""Options that several commands have, and those about videos, whose texts become VideoOptions."""

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer

from assay.attribute import KINDS
from assay.errors import InvalidRequest
from assay.video import KeyFrames, Pooling, Sampling, VideoOptions

E = TypeVar("E", bound=StrEnum)
_PANEL = "Videos (the server's defaults where nothing is given)"

EXIT_CODES = """\
exit codes:
  0  every file was scored
  1  some file could not be scored; stderr says which and why
  2  wrong use
  3  no server answers, or it went away
"""
JSON = """\
--json prints one object per file and line:
  file, score{value, stddev, scale{minimum, maximum}}, attributes{NAME: {grade, probabilities, text}},
  windows[{start_seconds, end_seconds, frame_count, repeated_frames, is_repeat, score, direct_score, reasoned_score,
  attributes, reasoning}], media, model
  of a video also pooling{method, percentile or worst_count}, worst and best{window_index, start_seconds, end_seconds,
  score}, video{sampling, frames_per_second, frame_count, key_frames, window_seconds, hop_seconds, repeated_frames,
  scene_cuts, skipped_packets}, partial{budget, message, reached_seconds, received_bytes} or null
  with --tenant also composite (as score), at the top and in windows[]; absent where prose left out an attribute
and for a file that could not be scored:
  file, error{reason, message}
"""
Form = Annotated[
    Literal["direct", "regular", "natural"],
    typer.Option(
        help="direct: the number alone, fastest. regular: ten attributes with reasons. natural: the same in prose."
    ),
]
Attributes = Annotated[
    str, typer.Option(metavar="A,B,…", help=f"Report these attributes only; known are {', '.join(KINDS)}.")
]
Tenant = Annotated[
    str, typer.Option(metavar="NAME", help="Also a composite score, with the weights stored under this name.")
]
Server = Annotated[
    str,
    typer.Option(metavar="HOST:PORT", help="The gateway (default: the variable ASSAY_SERVER, or 127.0.0.1:50051)."),
]
TlsCa = Annotated[
    str,
    typer.Option(
        metavar="PEM",
        help="Speak TLS; the file holds the authorities of the server's certificate, `system` means this machine's "
        "(default: ASSAY_TLS_CA).",
    ),
]
Cert = Annotated[str, typer.Option(metavar="PEM", help="Our own certificate with its key (default: ASSAY_CERT).")]
TokenFile = Annotated[
    str, typer.Option(metavar="FILE", help="Holds the token or API key to show (default: ASSAY_TOKEN_FILE).")
]
CheckpointDirectory = Annotated[
    Path | None, typer.Option("--checkpoint", metavar="DIR", help="The model (default checkpoints/nano).")
]
Logs = Annotated[Path | None, typer.Option(metavar="DIR", help="One log per program (default runs/logs).")]
Priority = Annotated[
    Literal["live", "interactive", "batch"],
    typer.Option(help="Who goes first where requests wait at the server; the token may lower it."),
]
Lateness = Annotated[
    Literal["drop", "wait"],
    typer.Option(help="When windows come faster than they are judged: drop the oldest, or read slower."),
]
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


def known_attributes(text: str) -> tuple[str, ...]:
    """Names of a list with commas. BadParameter names those that do not exist."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if unknown := [name for name in names if name not in KINDS]:
        raise typer.BadParameter(
            f"unknown attribute {', '.join(unknown)}; known are {', '.join(KINDS)}", param_hint="--attributes"
        )
    return names


def above_0(option: str, seconds: float, given: float | None = 1.0) -> float:
    """The seconds. BadParameter names the option unless they are above 0, or nothing is `given`."""
    if given is not None and not 0.0 < seconds < float("inf"):
        raise typer.BadParameter(f"must be a number of seconds above 0, got {seconds:g}", param_hint=option)
    return seconds


@dataclass(frozen=True, slots=True)
class CommonOptions:
    """What is asked of every file or window."""

    attributes: tuple[str, ...]
    tenant: str


def asked(attributes: Attributes = "", tenant: Tenant = "") -> CommonOptions:
    """BadParameter names attributes that do not exist."""
    return CommonOptions(known_attributes(attributes), tenant)


def connection(server: Server = "", tls_ca: TlsCa = "", cert: Cert = "", token_file: TokenFile = "") -> Any:
    """Address and Credentials of the server. SettingsError names a variable that is misspelt."""
    silence_grpc()
    from assay.cli.connection import connection_of

    return connection_of(server, tls_ca, cert, token_file)


def silence_grpc() -> None:
    """Before it is loaded: its C core logs to stderr, which is the reader's here, and says nothing that our own
    sentences do not."""
    os.putenv("GRPC_VERBOSITY", "NONE")


def video_options(
    sampling: SamplingOption = "",
    key_frames: KeyFramesOption = None,
    window: Window = None,
    hop: Hop = None,
    pool: Pool = "",
    keep_repeats: KeepRepeats = False,
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


def with_options(*groups: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a command the options of each group as well; its first arguments are what the groups make of them.

    A group is a function whose parameters are annotated as those of a command are, so ten commands that ask a server
    need not spell out the same four options.
    """
    shared = [list(inspect.signature(group, eval_str=True).parameters.values()) for group in groups]

    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[len(groups) :]

        def called(**given: Any) -> Any:
            made = [
                group(**{each.name: given.pop(each.name) for each in options})
                for group, options in zip(groups, shared, strict=True)
            ]
            return command(*made, **given)

        options = [each.replace(kind=each.KEYWORD_ONLY) for several in (own, *shared) for each in several]
        called.__name__, called.__doc__ = command.__name__, command.__doc__
        called.__annotations__ = {each.name: each.annotation for each in options}
        called.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
        return called

    return decorated
