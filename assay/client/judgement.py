"""Judgement: what a server says of one file, as plain values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from assay import wire
from assay.attribute import Attribute
from assay.score import Score
from assay.v1 import attribute_pb2, event_pb2, score_pb2
from assay.video import KeyFrames, PoolingRule, Sampling
from assay.wire import KEY_FRAMES_FROM_WIRE, POOLING_FROM_WIRE, SAMPLING_FROM_WIRE, seconds


@dataclass(frozen=True, slots=True)
class Window:
    """What is said of one clip of a video, or of a whole picture."""

    start_seconds: float
    """When the window begins, since the first displayed frame of the video; 0 for a picture."""
    end_seconds: float
    """When it ends: where the next one begins, unless windows overlap or have gaps between them; 0 for a picture."""
    frame_count: int
    score: Score
    direct_score: Score
    """Asked for the number alone."""
    reasoned_score: Score | None
    """Asked after the reasoning; None for the direct form."""
    attributes: Mapping[str, Attribute]
    """By name, in the order in which they were graded."""
    reasoning: str
    composite_score: Score | None = None
    """The tenant's; None if none was named, or if free prose left out an attribute that weighs."""
    repeated_frames: int = 0
    """Sampled frames of it that were nearly the same as the one before, and not shown to the model again."""
    is_repeat: bool = False
    """Nothing moved since the window before, so the model was not asked again."""


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
class Usage:
    """What a request has cost."""

    received_bytes: int
    decoded_frames: int
    sampled_frames: int
    prompt_tokens: int
    """That the model has read, those in its caches too."""
    answer_tokens: int
    queued_seconds: float
    decoding_seconds: float
    engine_seconds: float
    """Added up over generations that may have run at the same time."""


@dataclass(frozen=True, slots=True)
class Model:
    """What judged. Scores of different fingerprints must not be compared."""

    name: str
    checkpoint_fingerprint: str
    preprocessing_fingerprint: str
    warnings: tuple[str, ...] = ()
    """What to know of the machine that computed the scores, in sentences; empty if nothing."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A window by its place in time."""

    window_index: int
    start_seconds: float
    end_seconds: float
    score: Score


@dataclass(frozen=True, slots=True)
class VideoReport:
    """How a video was sampled: as requested, and by the defaults of server and model where nothing was."""

    sampling: Sampling | None
    """None if the server is of another release."""
    frames_per_second: float | None
    """None for uniform."""
    frame_count: int | None
    """Frames that were wanted; None but for uniform."""
    key_frames: KeyFrames | None
    window_seconds: float | None
    """None for uniform."""
    hop_seconds: float | None
    """None for uniform."""
    repeated_frames: int
    """Sampled frames that were nearly the same as the last different one."""
    scene_cuts: int
    skipped_packets: int
    """Compressed packets that were not decoded."""


@dataclass(frozen=True, slots=True)
class Partial:
    """A budget ended the video: the judgement speaks of the part in front."""

    budget: str
    """Name of the server's limit, as its setting ends, in lower case."""
    message: str
    reached_seconds: float
    """Time of the last sampled frame."""
    received_bytes: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """The score of a whole file and what it came from."""

    score: Score
    attributes: Mapping[str, Attribute]
    """By name, in the order in which they were graded; empty for the direct form."""
    windows: tuple[Window, ...]
    """One for a picture, one per clip for a video, in order of time."""
    media: Media
    model: Model
    composite_score: Score | None = None
    """The tenant's, of the whole file; None unless every window has one."""
    pooling: PoolingRule = field(default_factory=PoolingRule)
    """How the score came of the windows'."""
    worst: Segment | None = None
    """The window with the lowest score; None for a picture."""
    best: Segment | None = None
    """The window with the highest score; None for a picture."""
    video: VideoReport | None = None
    """None for a picture."""
    partial: Partial | None = None
    """Set if a budget ended the video before its end."""
    usage: Usage | None = None
    """What it has cost; None from a server that does not say."""


def judgement_from_wire(result: event_pb2.Result, events: Sequence[score_pb2.WindowResult] = ()) -> Judgement:
    """`events`: the windows as they came in events, from which a long video's result leaves out the details.

    ValueError if an attribute or grade is not one of the schema.
    """
    windows = events if len(events) == len(result.windows) else result.windows
    return Judgement(
        score=wire.score_from_wire(result.score),
        attributes=_attributes(result.attributes),
        windows=tuple(window_from_wire(each) for each in windows),
        media=_media(result.media),
        model=_model(result.model),
        composite_score=_score_if_set(result, "composite_score"),
        pooling=_pooling(result.pooling_rule),
        worst=_segment(result.worst) if result.HasField("worst") else None,
        best=_segment(result.best) if result.HasField("best") else None,
        video=_video_report(result.video) if result.HasField("video") else None,
        partial=_partial(result.partial) if result.HasField("partial") else None,
        usage=_usage(result.usage) if result.HasField("usage") else None,
    )


def _usage(message: event_pb2.Usage) -> Usage:
    times = seconds(message.queued), seconds(message.decoding), seconds(message.engine)
    frames, tokens = (message.decoded_frames, message.sampled_frames), (message.prompt_tokens, message.answer_tokens)
    return Usage(message.received_bytes, *frames, *tokens, *times)


def _pooling(message: event_pb2.PoolingRule) -> PoolingRule:
    default = PoolingRule()
    return PoolingRule(
        POOLING_FROM_WIRE[message.method] or default.method,
        message.percentile or default.percentile,
        message.worst_count or default.worst_count,
    )


def _segment(message: event_pb2.Segment) -> Segment:
    times = seconds(message.start_offset), seconds(message.end_offset)
    return Segment(message.window_index, *times, wire.score_from_wire(message.score))


def _video_report(message: event_pb2.VideoReport) -> VideoReport:
    return VideoReport(
        sampling=SAMPLING_FROM_WIRE[message.policy],
        frames_per_second=message.frames_per_second or None,
        frame_count=message.frame_count or None,
        key_frames=KEY_FRAMES_FROM_WIRE[message.key_frames],
        window_seconds=seconds(message.window_length) if message.HasField("window_length") else None,
        hop_seconds=seconds(message.window_hop) if message.HasField("window_hop") else None,
        repeated_frames=message.repeated_frames,
        scene_cuts=message.scene_cuts,
        skipped_packets=message.skipped_packets,
    )


def _partial(message: event_pb2.Partial) -> Partial:
    return Partial(message.budget, message.message, seconds(message.reached_offset), message.received_bytes)


def _attributes(messages: Iterable[attribute_pb2.Attribute]) -> dict[str, Attribute]:
    return {attribute.name: attribute for attribute in map(wire.attribute_from_wire, messages)}


def window_from_wire(message: score_pb2.WindowResult) -> Window:
    """ValueError if an attribute or grade is not one of the schema."""
    return Window(
        start_seconds=seconds(message.start_offset),
        end_seconds=seconds(message.end_offset),
        frame_count=message.frame_count,
        score=wire.score_from_wire(message.score),
        direct_score=wire.score_from_wire(message.direct_score),
        reasoned_score=_score_if_set(message, "reasoned_score"),
        attributes=_attributes(message.attributes),
        reasoning=message.reasoning,
        composite_score=_score_if_set(message, "composite_score"),
        repeated_frames=message.repeated_frames,
        is_repeat=message.is_repeat,
    )


def _score_if_set(message: event_pb2.Result | score_pb2.WindowResult, field: str) -> Score | None:
    return wire.score_from_wire(getattr(message, field)) if message.HasField(field) else None  # type: ignore[arg-type]


def _model(message: event_pb2.ModelInfo) -> Model:
    fingerprints = message.checkpoint_fingerprint, message.preprocessing_fingerprint
    return Model(message.name, *fingerprints, warnings=tuple(message.warnings))


def _media(message: event_pb2.MediaInfo) -> Media:
    return Media(
        kind=event_pb2.MediaKind.Name(message.kind).removeprefix("MEDIA_KIND_").lower(),
        container=message.container,
        codec=message.codec,
        width_px=message.width_px,
        height_px=message.height_px,
        duration_seconds=seconds(message.duration) if message.HasField("duration") else None,
        decoded_frames=message.decoded_frames,
        corrupt_frames=message.corrupt_frames,
        sampled_frames=message.sampled_frames,
        warnings=tuple(message.warnings),
    )
