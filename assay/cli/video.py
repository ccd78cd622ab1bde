"""Options of `assay score` that are about videos: their texts become VideoOptions."""

import argparse
from enum import StrEnum
from typing import TypeVar

from assay.errors import InvalidRequest
from assay.video import KeyFrames, Pooling, Sampling, VideoOptions

E = TypeVar("E", bound=StrEnum)


def add_video_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("videos", "How to sample a video; the server's defaults where nothing is given.")
    group.add_argument(
        "--sampling",
        type=sampling,
        default=(None, None),
        metavar="HOW[:N]",
        help="fps[:RATE]: RATE frames per second; uniform[:COUNT]: COUNT frames over the whole video; "
        "scene[:RATE]: as fps, but no clip shows two scenes",
    )
    group.add_argument(
        "--key-frames",
        type=KeyFrames,
        choices=[*KeyFrames],
        help="whether the codec's key frames may stand for others: exact: never; auto: where it is worth while; "
        "only: nothing else is decoded",
    )
    group.add_argument("--window", type=float, metavar="SECONDS", help="length of a clip")
    group.add_argument("--hop", type=float, metavar="SECONDS", help="from one clip's start to the next's")
    group.add_argument(
        "--pool",
        type=pooling,
        default=(None, None),
        metavar="HOW[:N]",
        help="how clips' scores become one: mean; percentile[:P]: the score at P percent of the time, counted from "
        "the worst; worst[:K]: mean of the worst K",
    )
    group.add_argument(
        "--keep-repeats", action="store_true", help="score frames again that are nearly the same as the last"
    )


def video_of(options: argparse.Namespace) -> VideoOptions:
    """InvalidRequest names the option that is out of range."""
    how, number = options.sampling
    pool, refined = options.pool
    return VideoOptions(
        sampling=how,
        frames_per_second=number if how in (Sampling.FPS, Sampling.SCENE) else None,
        frame_count=_whole(number) if how is Sampling.UNIFORM else None,
        key_frames=options.key_frames,
        keep_repeats=options.keep_repeats or None,
        window_seconds=options.window,
        hop_seconds=options.hop,
        pooling=pool,
        percentile=refined if pool is Pooling.PERCENTILE else None,
        worst_count=_whole(refined) if pool is Pooling.WORST else None,
    )


def sampling(text: str) -> tuple[Sampling, float | None]:
    """`uniform:16` -> (Sampling.UNIFORM, 16.0)."""
    return _named(text, Sampling)


def pooling(text: str) -> tuple[Pooling, float | None]:
    """`worst:3` -> ("worst", 3.0)."""
    how, number = _named(text, Pooling)
    if how is Pooling.MEAN and number is not None:
        raise argparse.ArgumentTypeError(f"the mean takes no number, got {text!r}")
    return how, number


def _named(text: str, known: type[E]) -> tuple[E, float | None]:
    name, colon, number = text.partition(":")
    if name not in [*known]:
        raise argparse.ArgumentTypeError(f"unknown {name!r}; known are {', '.join(known)}")
    try:
        return known(name), float(number) if colon else None
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number after ':', got {number!r}") from None


def _whole(number: float | None) -> int | None:
    if number is not None and not number.is_integer():
        raise InvalidRequest(f"expected a whole number, got {number}")
    return None if number is None else int(number)
