"""VideoOptions: how a video shall be looked at: which frames, in which clips, and how their scores become one."""

from dataclasses import dataclass, fields
from typing import Any

from assay.errors import InvalidRequest

SAMPLINGS = ("fps", "uniform", "scene")
"""Frames at an even rate; a number of frames over the whole; at an even rate that begins anew at every cut."""
KEY_FRAMES = ("exact", "auto", "only")
"""Never stand for another frame; do where that is worth while; nothing but key frames is decoded."""
POOLINGS = ("mean", "percentile", "worst")

_RANGES: dict[str, tuple[float, float]] = {
    "frames_per_second": (1e-4, 60.0),
    "frame_count": (1, 64),
    "window_seconds": (0.1, 600.0),
    "hop_seconds": (0.1, 86400.0),
    "percentile": (1e-6, 100.0),
    "worst_count": (1, 10_000),
}
_CHOICES = {"sampling": SAMPLINGS, "key_frames": KEY_FRAMES, "pooling": POOLINGS}
_BELONGS_TO = {
    # Option -> the option that it refines, and the values of that for which it means something.
    "frames_per_second": ("sampling", ("fps", "scene")),
    "frame_count": ("sampling", ("uniform",)),
    "window_seconds": ("sampling", ("fps", "scene")),
    "hop_seconds": ("sampling", ("fps", "scene")),
    "percentile": ("pooling", ("percentile",)),
    "worst_count": ("pooling", ("worst",)),
}


@dataclass(frozen=True, slots=True)
class VideoOptions:
    """What is empty or None is left to the server. InvalidRequest names the option that is out of range."""

    sampling: str = ""
    """One of SAMPLINGS."""
    frames_per_second: float | None = None
    """Of presentation time, for fps and scene."""
    frame_count: int | None = None
    """For uniform: how many frames."""
    key_frames: str = ""
    """One of KEY_FRAMES."""
    keep_repeats: bool | None = None
    """Show the model a frame that is nearly the same as the last one it was shown."""
    window_seconds: float | None = None
    """Length of a clip."""
    hop_seconds: float | None = None
    """From the start of one clip to the start of the next; the length of a clip if nobody sets it."""
    pooling: str = ""
    """One of POOLINGS."""
    percentile: float | None = None
    """For the pooling of that name: percent of the time, counted from the worst."""
    worst_count: int | None = None
    """For the pooling `worst`: how many windows."""

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            if getattr(self, name) not in ("", *known):
                raise _refusal(name, f"unknown {name} {getattr(self, name)!r}; known are {', '.join(known)}")
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise _refusal(name, f"{name} must be from {least:g} to {most:g}, got {value}")

    def over(self, defaults: "VideoOptions") -> "VideoOptions":
        """These options, and the defaults where they leave something open.

        InvalidRequest if one of them means nothing beside the others.
        """
        values: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        asked = {name for name, value in values.items() if value not in ("", None)}
        merged = VideoOptions(
            **{name: value if name in asked else getattr(defaults, name) for name, value in values.items()}
        )
        for name, (of, meant) in _BELONGS_TO.items():
            if name in asked and getattr(merged, of) not in meant:
                raise _refusal(name, f"{name} is for {of} {' or '.join(meant)}, not for {getattr(merged, of)!r}")
        if merged.sampling == "scene" and "key_frames" in asked and merged.key_frames != "exact":
            raise _refusal("key_frames", "to find cuts every frame is decoded; leave key_frames out, or take fps")
        return merged


def _refusal(name: str, message: str) -> InvalidRequest:
    return InvalidRequest(message, field=f"config.video.{name}")
