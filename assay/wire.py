"""Domain <-> assay.v1. Nothing here decides anything; it only says the same in the other language."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar, get_args

import numpy as np
from google.protobuf.duration_pb2 import Duration

from assay.attribute import KINDS, Attribute
from assay.checkpoint import FormName, ModelSpec
from assay.errors import InvalidRequest
from assay.frame import Clip, Frame
from assay.score import Scale, Score
from assay.transcript import Transcript
from assay.v1 import assay_pb2, attribute_extraction_pb2, attribute_pb2, clip_pb2, event_pb2, score_pb2, video_pb2
from assay.video import KeyFrames, Pooling, Sampling, VideoOptions

SLICE_BYTES = 1 << 20
"""Largest piece of pixels in one message: the fastest on grpc.aio, and below the default limit of 4 MiB."""

FORM_TO_WIRE: Mapping[FormName, score_pb2.AnswerForm.ValueType] = {
    name: score_pb2.AnswerForm.Value(f"ANSWER_FORM_{name.upper()}") for name in get_args(FormName)
}
_FORM_FROM_WIRE: Mapping[int, FormName] = {
    score_pb2.ANSWER_FORM_UNSPECIFIED: "regular",
    **{value: name for name, value in FORM_TO_WIRE.items()},
}
_RESAMPLING = {"nearest": clip_pb2.RESAMPLING_NEAREST, "bicubic": clip_pb2.RESAMPLING_BICUBIC}


def form_from_wire(form: int) -> FormName:
    """InvalidRequest for a form that this release does not know."""
    if form not in _FORM_FROM_WIRE:
        raise InvalidRequest(f"answer form {form} is not known", field="form")
    return _FORM_FROM_WIRE[form]


def attribute_to_wire(attribute: Attribute) -> attribute_pb2.Attribute:
    kind = KINDS[attribute.name]
    return attribute_pb2.Attribute(
        name=attribute_pb2.AttributeName.Value(f"ATTRIBUTE_NAME_{attribute.name.upper()}"),
        level=attribute_pb2.AttributeLevel.Value(f"ATTRIBUTE_LEVEL_{kind.level.name}"),
        grade=attribute.grade,
        ordinal=attribute.ordinal if kind.is_graded else 0,
        probabilities=[
            attribute_pb2.GradeProbability(grade=grade, probability=attribute.probabilities[grade])
            for grade in kind.grades
            if attribute.probabilities
        ],
        text=attribute.text,
    )


def attribute_from_wire(message: attribute_pb2.Attribute) -> Attribute:
    """ValueError if the name or grade is not one of the schema."""
    return Attribute(
        attribute_name(message),
        message.grade,
        {each.grade: each.probability for each in message.probabilities},
        message.text,
    )


def attributes_from_wire(messages: Iterable[attribute_pb2.Attribute]) -> list[Attribute]:
    """InvalidRequest if one of them is not of the schema."""
    try:
        return [attribute_from_wire(each) for each in messages]
    except ValueError as wrong:
        raise InvalidRequest(str(wrong), field="attributes") from wrong


def attribute_name(message: attribute_pb2.Attribute) -> str:
    """ATTRIBUTE_NAME_LEVEL_SHOT -> "level_shot"."""
    return attribute_pb2.AttributeName.Name(message.name).removeprefix("ATTRIBUTE_NAME_").lower()


def score_to_wire(score: Score, *, omit_distributions: bool = False) -> score_pb2.Score:
    return score_pb2.Score(
        value=score.value,
        standard_deviation=score.standard_deviation,
        scale=score_pb2.ScoreScale(minimum=score.scale.minimum, maximum=score.scale.maximum),
        digits_as_written=score.written,
        digit_distributions=() if omit_distributions else _distributions(score),
    )


def _distributions(score: Score) -> list[score_pb2.DigitDistribution]:
    """Those of the written number first."""
    on_path: list[score_pb2.DigitDistribution] = []
    off_path: list[score_pb2.DigitDistribution] = []
    digits = score.written.strip().replace(".", "")
    for prefix in sorted(score.by_prefix, key=lambda each: (len(each), each)):
        distribution = score_pb2.DigitDistribution(prefix=prefix, probabilities=score.by_prefix[prefix])
        (on_path if digits.startswith(prefix) else off_path).append(distribution)
    return [*on_path, *off_path]


def score_from_wire(message: score_pb2.Score) -> Score:
    return Score(
        message.value,
        message.standard_deviation,
        Scale(message.scale.minimum, message.scale.maximum),
        message.digits_as_written,
        {each.prefix: tuple(each.probabilities) for each in message.digit_distributions},
    )


def transcript_to_wire(transcript: Transcript) -> attribute_extraction_pb2.Transcript:
    return attribute_extraction_pb2.Transcript(
        texts=transcript.texts,
        checkpoint_fingerprint=transcript.checkpoint_fingerprint,
        is_complete=transcript.is_complete,
    )


def transcript_from_wire(message: attribute_extraction_pb2.Transcript) -> Transcript:
    return Transcript(tuple(message.texts), message.checkpoint_fingerprint, message.is_complete)


def clip_header(clip: Clip) -> clip_pb2.ClipHeader:
    first = clip.frames[0]
    return clip_pb2.ClipHeader(
        is_video=clip.is_video,
        height_px=first.height_px,
        width_px=first.width_px,
        pts_seconds=[frame.pts_seconds for frame in clip.frames],
    )


def pixel_slices(clip: Clip) -> Iterator[bytes]:
    """All pixels of the clip, (num_frames, height, width, 3) uint8 in C order, in pieces of at most 1 MiB."""
    pixels = clip.stacked().data.cast("B")
    for start in range(0, len(pixels), SLICE_BYTES):
        yield bytes(pixels[start : start + SLICE_BYTES])


class ClipAssembler:
    """Makes a Clip of a header and the slices that follow it."""

    def __init__(self, header: clip_pb2.ClipHeader) -> None:
        self._header = header
        self._shape = (len(header.pts_seconds), header.height_px, header.width_px, 3)
        self._wanted_bytes = int(np.prod(self._shape))
        self._pixels = bytearray()

    @property
    def is_complete(self) -> bool:
        return len(self._pixels) == self._wanted_bytes

    def feed(self, pixels: bytes) -> None:
        """Appends a slice. InvalidRequest if there are more bytes than the header announced."""
        if len(self._pixels) + len(pixels) > self._wanted_bytes:
            raise InvalidRequest(
                f"more pixels than the {self._wanted_bytes} bytes that the clip's header announced", field="pixels"
            )
        self._pixels += pixels

    def clip(self) -> Clip:
        """The clip. InvalidRequest if pixels are missing or the header's times do not rise."""
        if not self.is_complete:
            raise InvalidRequest(
                f"{len(self._pixels)} bytes of pixels came, the clip's header announced {self._wanted_bytes}",
                field="pixels",
            )
        stacked = np.frombuffer(self._pixels, np.uint8).reshape(self._shape)
        try:
            frames = [Frame(pixels, t) for pixels, t in zip(stacked, self._header.pts_seconds, strict=True)]
            return Clip(tuple(frames), self._header.is_video)
        except ValueError as wrong:
            raise InvalidRequest(str(wrong), field="clip") from wrong


def spec_to_wire(
    checkpoint: ModelSpec, checkpoint_fingerprint: str, warnings: Sequence[str] = ()
) -> clip_pb2.ModelSpec:
    pixels = checkpoint.pixels
    spec = clip_pb2.ModelSpec(
        model=event_pb2.ModelInfo(
            name=checkpoint.name,
            checkpoint_fingerprint=checkpoint_fingerprint,
            preprocessing_fingerprint=checkpoint.preprocessing_fingerprint,
            warnings=warnings,
        ),
        scale=score_pb2.ScoreScale(minimum=checkpoint.score.minimum, maximum=checkpoint.score.maximum),
        factor_px=pixels.factor_px,
        image_min_pixels=pixels.min_pixels,
        image_max_pixels=pixels.max_pixels,
        video_min_pixels=pixels.video_min_pixels,
        video_max_pixels=pixels.video_max_pixels,
        clip_seconds=checkpoint.clip.seconds,
        clip_max_frames=checkpoint.clip.max_frames,
        grade_quantiles=checkpoint.grade_quantiles,
        frames_per_second=checkpoint.clip.frames_per_second,
    )
    if (shrink := pixels.shrink_first) is not None:
        spec.shrink_first.image_pixels = shrink.max_pixels
        spec.shrink_first.video_pixels = shrink.video_max_pixels
        spec.shrink_first.resampling = _RESAMPLING[shrink.resample]
    if pixels.enlarge_first_pixels is not None:
        spec.enlarge_first_pixels = pixels.enlarge_first_pixels
    spec.leave_out_borders = pixels.leave_out_borders
    return spec


def resampling_from_wire(resampling: int) -> str:
    """ "nearest" or "bicubic". InvalidRequest for one that this release does not know."""
    for name, value in _RESAMPLING.items():
        if value == resampling:
            return name
    raise InvalidRequest(f"resampling {resampling} is not known", field="shrink_first.resampling")


T = TypeVar("T")


def _numbers(kind: type[StrEnum], wire: Any, prefix: str) -> dict[Any, Any]:
    """Member -> the wire's number of the same name behind the prefix; of None that of what is not specified."""
    return {None: wire.Value(f"{prefix}_UNSPECIFIED"), **{each: wire.Value(f"{prefix}_{each.name}") for each in kind}}


SAMPLING_TO_WIRE = _numbers(Sampling, video_pb2.SamplingPolicy, "SAMPLING_POLICY")
KEY_FRAMES_TO_WIRE = _numbers(KeyFrames, video_pb2.KeyFrames, "KEY_FRAMES")
POOLING_TO_WIRE = _numbers(Pooling, event_pb2.Pooling, "POOLING")
SAMPLING_FROM_WIRE = {number: name for name, number in SAMPLING_TO_WIRE.items()}
KEY_FRAMES_FROM_WIRE = {number: name for name, number in KEY_FRAMES_TO_WIRE.items()}
POOLING_FROM_WIRE = {number: name for name, number in POOLING_TO_WIRE.items()}


def video_options_to_wire(options: VideoOptions) -> assay_pb2.VideoOptions:
    message = assay_pb2.VideoOptions(
        sampling=video_pb2.Sampling(
            policy=SAMPLING_TO_WIRE[options.sampling],
            frames_per_second=options.frames_per_second or 0.0,
            frame_count=options.frame_count or 0,
            key_frames=KEY_FRAMES_TO_WIRE[options.key_frames],
            keep_repeats=options.keep_repeats,
        ),
        pooling=event_pb2.PoolingRule(
            method=POOLING_TO_WIRE[options.pooling],
            percentile=options.percentile or 0.0,
            worst_count=options.worst_count or 0,
        ),
    )
    if options.window_seconds is not None:
        message.windows.length.CopyFrom(duration(options.window_seconds))
    if options.hop_seconds is not None:
        message.windows.hop.CopyFrom(duration(options.hop_seconds))
    return message


def video_options_from_wire(message: assay_pb2.VideoOptions) -> VideoOptions:
    """InvalidRequest for what is out of range or not known to this release."""
    sampling, windows, pooling = message.sampling, message.windows, message.pooling
    return VideoOptions(
        sampling=_known(SAMPLING_FROM_WIRE, "sampling", sampling.policy),
        frames_per_second=sampling.frames_per_second or None,
        frame_count=sampling.frame_count or None,
        key_frames=_known(KEY_FRAMES_FROM_WIRE, "key_frames", sampling.key_frames),
        keep_repeats=sampling.keep_repeats if sampling.HasField("keep_repeats") else None,
        window_seconds=seconds(windows.length) if windows.HasField("length") else None,
        hop_seconds=seconds(windows.hop) if windows.HasField("hop") else None,
        pooling=_known(POOLING_FROM_WIRE, "pooling", pooling.method),
        percentile=pooling.percentile or None,
        worst_count=pooling.worst_count or None,
    )


def _known(names: Mapping[Any, T], field: str, number: int) -> T:
    if number not in names:
        raise InvalidRequest(f"unknown {field} {number}; this server is older", field=f"config.video.{field}")
    return names[number]


def duration(seconds: float) -> Duration:
    """Seconds as a Duration, to the nanosecond."""
    message = Duration()
    message.FromNanoseconds(round(seconds * 1e9))
    return message


def seconds(message: Duration) -> float:
    return message.ToNanoseconds() / 1e9
