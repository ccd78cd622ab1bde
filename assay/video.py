"""VideoOptions: which frames of a video are scored, in which clips, and how the clips' scores become one."""

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

from annotated_types import Interval

from assay.errors import InvalidRequest


class Sampling(StrEnum):
    """How frames are chosen."""

    FPS = "fps"
    """At an even rate."""
    UNIFORM = "uniform"
    """A number of frames over the whole video."""
    SCENE = "scene"
    """At an even rate that begins anew at every cut."""


class KeyFrames(StrEnum):
    """Whether the codec's key frames may stand for other frames."""

    EXACT = "exact"
    """Never."""
    AUTO = "auto"
    """Where it is worth while."""
    ONLY = "only"
    """Nothing but key frames is decoded."""


class Pooling(StrEnum):
    """How the scores of several windows become one."""

    MEAN = "mean"
    PERCENTILE = "percentile"
    """The score at that percentile of the time, counted from the worst."""
    WORST = "worst"
    """Mean over the worst windows."""


Percent = Annotated[float, Interval(gt=0, le=100)]
WindowCount = Annotated[int, Interval(ge=1, le=10_000)]


@dataclass(frozen=True, slots=True)
class PoolingRule:
    """How the scores of several windows become one. ValueError for what is out of range."""

    method: Pooling = Pooling.MEAN
    percentile: Percent = 10.0
    worst_count: WindowCount = 3
    """Windows."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", Pooling(self.method))
        if not 0 < self.percentile <= 100 or self.worst_count < 1:
            raise ValueError(f"no way to pool: {self}")


_ENUMS = {"sampling": Sampling, "key_frames": KeyFrames, "pooling": Pooling}
_BELONGS_TO = {
    # Option -> the option that it refines, and the values of that for which it means something.
    "frames_per_second": ("sampling", (Sampling.FPS, Sampling.SCENE)),
    "frame_count": ("sampling", (Sampling.UNIFORM,)),
    "window_seconds": ("sampling", (Sampling.FPS, Sampling.SCENE)),
    "hop_seconds": ("sampling", (Sampling.FPS, Sampling.SCENE)),
    "percentile": ("pooling", (Pooling.PERCENTILE,)),
    "worst_count": ("pooling", (Pooling.WORST,)),
}


@dataclass(frozen=True, slots=True)
class VideoOptions:
    """What is None is left to the server. InvalidRequest names the option that is out of range.

    The enums are also taken by their values: `VideoOptions(sampling="scene")`.
    """

    sampling: Sampling | None = None
    """How frames are chosen."""
    frames_per_second: Annotated[float, Interval(ge=1e-4, le=60.0)] | None = None
    """Of presentation time, for fps and scene; the model's if not set."""
    frame_count: Annotated[int, Interval(ge=1, le=64)] | None = None
    """For uniform: how many frames."""
    key_frames: KeyFrames | None = None
    """Whether the codec's key frames may stand for other frames."""
    keep_repeats: bool | None = None
    """Show the model a frame that is nearly the same as the last one it was shown."""
    window_seconds: Annotated[float, Interval(ge=0.1, le=600.0)] | None = None
    """Length of a clip; the model's if not set."""
    hop_seconds: Annotated[float, Interval(ge=0.1, le=86400.0)] | None = None
    """From the start of one clip to the start of the next; the length of a clip if not set."""
    pooling: Pooling | None = None
    """How the scores of a video's clips become one."""
    percentile: Percent | None = None
    """For the pooling of that name: percent of the time, counted from the worst."""
    worst_count: WindowCount | None = None
    """For the pooling `worst`: how many windows."""

    def __post_init__(self) -> None:
        for name, kind in _ENUMS.items():
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, _member(kind, name, value))
        for name, allowed in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not _is_in(value, allowed):
                least = f"above {allowed.gt}" if allowed.ge is None else f"from {allowed.ge:g}"
                raise _refusal(name, f"{name} must be {least} to {allowed.le:g}, got {value}")

    def over(self, defaults: "D") -> "D":
        """The defaults, with these options in their place where they are set.

        InvalidRequest if one of them means nothing together with the others.
        """
        values: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(VideoOptions)}
        asked = {name: value for name, value in values.items() if value is not None}
        merged = replace(defaults, **asked)
        for name, (of, meant) in _BELONGS_TO.items():
            if name in asked and getattr(merged, of) not in meant:
                raise _refusal(name, f"{name} is for {of} {' or '.join(meant)}, not for {str(getattr(merged, of))!r}")
        if merged.sampling is Sampling.SCENE and asked.get("key_frames", KeyFrames.EXACT) is not KeyFrames.EXACT:
            raise _refusal("key_frames", "to find cuts every frame is decoded; leave key_frames out, or take fps")
        return merged


D = TypeVar("D", bound=VideoOptions)
_RANGES: dict[str, Any] = {
    name: rule
    for name, hint in get_type_hints(VideoOptions, include_extras=True).items()
    for kind in get_args(hint)
    for rule in getattr(kind, "__metadata__", ())
}


def _is_in(value: float, allowed: Any) -> bool:
    above = value >= allowed.ge if allowed.ge is not None else value > allowed.gt
    return bool(above and value <= allowed.le)


def _member(kind: type[StrEnum], name: str, value: str) -> StrEnum:
    try:
        return kind(value)
    except ValueError:
        raise _refusal(name, f"unknown {name} {value!r}; known are {', '.join(kind)}") from None


def _refusal(name: str, message: str) -> InvalidRequest:
    return InvalidRequest(message, field=f"config.video.{name}")
