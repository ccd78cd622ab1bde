"""Judgement: what a server says of one file, as plain values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from assay import wire
from assay.attribute import Attribute
from assay.score import Score
from assay.v1 import attribute_pb2, event_pb2, score_pb2


@dataclass(frozen=True, slots=True)
class Window:
    """What is said of one clip of a video, or of a whole picture."""

    start_seconds: float
    """Time of the first frame, since the first displayed frame of the video; 0 for a picture."""
    end_seconds: float
    """Time of the last frame, since the first displayed frame of the video; 0 for a picture."""
    frame_count: int
    score: Score
    direct_score: Score
    """Asked for the number alone."""
    reasoned_score: Score | None
    """Asked after the reasoning; None for the direct form."""
    attributes: Mapping[str, Attribute]
    """By name, in the order in which they were told."""
    reasoning: str
    composite_score: Score | None = None
    """The tenant's; None if none was named, or if free prose left out an attribute that weighs."""


@dataclass(frozen=True, slots=True)
class Media:
    """Facts about the file, from its own bytes."""

    kind: str
    """"image" or "video"."""
    container: str
    codec: str
    width_px: int
    height_px: int
    duration_seconds: float | None
    """Time of the last displayed frame; None for a picture."""
    decoded_frames: int
    corrupt_frames: int
    sampled_frames: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """What judged. Scores of different fingerprints must not be compared."""

    name: str
    checkpoint_fingerprint: str
    preprocessing_fingerprint: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """The score of a whole file and what it came from."""

    score: Score
    attributes: Mapping[str, Attribute]
    """By name, in the order in which they were told; empty for the direct form."""
    windows: tuple[Window, ...]
    """One for a picture, one per clip for a video, in order of time."""
    media: Media
    model: Model
    composite_score: Score | None = None
    """The tenant's, of the whole file; None unless every window has one."""


def judgement_from_wire(result: event_pb2.Result) -> Judgement:
    """ValueError if an attribute or grade is not one of the schema."""
    return Judgement(
        score=wire.score_from_wire(result.score),
        attributes=_attributes(result.attributes),
        windows=tuple(window_from_wire(each) for each in result.windows),
        media=_media(result.media),
        model=Model(result.model.name, result.model.checkpoint_fingerprint, result.model.preprocessing_fingerprint),
        composite_score=_score_if_set(result, "composite_score"),
    )


def _attributes(messages: Iterable[attribute_pb2.Attribute]) -> dict[str, Attribute]:
    return {attribute.name: attribute for attribute in map(wire.attribute_from_wire, messages)}


def window_from_wire(message: score_pb2.WindowResult) -> Window:
    """ValueError if an attribute or grade is not one of the schema."""
    return Window(
        start_seconds=message.start_offset.ToNanoseconds() / 1e9,
        end_seconds=message.end_offset.ToNanoseconds() / 1e9,
        frame_count=message.frame_count,
        score=wire.score_from_wire(message.score),
        direct_score=wire.score_from_wire(message.direct_score),
        reasoned_score=_score_if_set(message, "reasoned_score"),
        attributes=_attributes(message.attributes),
        reasoning=message.reasoning,
        composite_score=_score_if_set(message, "composite_score"),
    )


def _score_if_set(message: event_pb2.Result | score_pb2.WindowResult, field: str) -> Score | None:
    return wire.score_from_wire(getattr(message, field)) if message.HasField(field) else None  # type: ignore[arg-type]


def _media(message: event_pb2.MediaInfo) -> Media:
    return Media(
        kind=event_pb2.MediaKind.Name(message.kind).removeprefix("MEDIA_KIND_").lower(),
        container=message.container,
        codec=message.codec,
        width_px=message.width_px,
        height_px=message.height_px,
        duration_seconds=message.duration.ToNanoseconds() / 1e9 if message.HasField("duration") else None,
        decoded_frames=message.decoded_frames,
        corrupt_frames=message.corrupt_frames,
        sampled_frames=message.sampled_frames,
        warnings=tuple(message.warnings),
    )
