"""Options of `assay score` that are about videos: their texts become VideoOptions."""

import argparse

from assay.errors import InvalidRequest
from assay.video import KEY_FRAMES, POOLINGS, SAMPLINGS, VideoOptions


def add_video_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("videos", "How to sample a video; the server's defaults where nothing is given.")
    group.add_argument(
        "--sampling",
        type=sampling,
        default=("", None),
        metavar="HOW[:N]",
        help="fps[:RATE]: RATE frames per second; uniform[:COUNT]: COUNT frames over the whole video; "
        "scene[:RATE]: as fps, but no clip shows two scenes",
    )
    group.add_argument(
        "--key-frames",
        choices=KEY_FRAMES,
        default="",
        help="whether the codec's key frames may stand for others: exact: never; auto: where it is worth while; "
        "only: nothing else is decoded",
    )
    group.add_argument("--window", type=float, metavar="SECONDS", help="length of a clip")
    group.add_argument("--hop", type=float, metavar="SECONDS", help="from one clip's start to the next's")
    group.add_argument(
        "--pool",
        type=pooling,
        default=("", None),
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
        frames_per_second=number if how in ("fps", "scene") else None,
        frame_count=_whole(number) if how == "uniform" else None,
        key_frames=options.key_frames,
        keep_repeats=options.keep_repeats or None,
        window_seconds=options.window,
        hop_seconds=options.hop,
        pooling=pool,
        percentile=refined if pool == "percentile" else None,
        worst_count=_whole(refined) if pool == "worst" else None,
    )


def sampling(text: str) -> tuple[str, float | None]:
    """`uniform:16` -> ("uniform", 16.0)."""
    return _named(text, SAMPLINGS)


def pooling(text: str) -> tuple[str, float | None]:
    """`worst:3` -> ("worst", 3.0)."""
    how, number = _named(text, POOLINGS)
    if how == "mean" and number is not None:
        raise argparse.ArgumentTypeError(f"the mean takes no number, got {text!r}")
    return how, number


def _named(text: str, known: tuple[str, ...]) -> tuple[str, float | None]:
    name, colon, number = text.partition(":")
    if name not in known:
        raise argparse.ArgumentTypeError(f"unknown {name!r}; known are {', '.join(known)}")
    try:
        return name, float(number) if colon else None
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number after ':', got {number!r}") from None


def _whole(number: float | None) -> int | None:
    if number is not None and not number.is_integer():
        raise InvalidRequest(f"expected a whole number, got {number}")
    return None if number is None else int(number)
