"""Domain <-> assay.v1: nothing is lost on the way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.attribute import KINDS, Attribute
from assay.checkpoint import ShrinkFirst
from assay.errors import InvalidRequest
from assay.frame import Clip, Frame
from assay.score import Scale, Score
from assay.v1 import assay_pb2
from assay.video import KeyFrames, Pooling, Sampling, VideoOptions
from assay.wire import (
    SLICE_BYTES,
    ClipAssembler,
    attribute_from_wire,
    attribute_to_wire,
    attributes_from_wire,
    clip_header,
    duration,
    form_from_wire,
    pixel_slices,
    resampling_from_wire,
    score_from_wire,
    score_to_wire,
    seconds,
    spec_to_wire,
    video_options_from_wire,
    video_options_to_wire,
)
from tests.checkpoints import small_checkpoint


def clip(num_frames: int = 2, size_px: int = 28) -> Clip:
    rng = np.random.default_rng(num_frames)
    shape = (num_frames, size_px, size_px, 3)
    frames = [Frame(pixels, float(t)) for t, pixels in enumerate(rng.integers(0, 256, shape, np.uint8))]
    return Clip(tuple(frames), is_video=True)


@pytest.mark.parametrize("name", KINDS)
def test_an_attribute_survives_the_journey(name):
    grades = KINDS[name].grades
    probabilities = {grade: 1 / len(grades) for grade in grades}
    attribute = Attribute(name, grades[0] if grades else "", probabilities, "because")
    assert attribute_from_wire(attribute_to_wire(attribute)) == attribute


@given(st.floats(0, 10), st.floats(0, 5))
def test_a_score_survives_the_journey(value, deviation):
    score = Score(value, deviation, Scale(0, 10), "3.7", {"": (0.1,) * 10, "3": (0.1,) * 10, "4": (0.1,) * 10})
    assert score_from_wire(score_to_wire(score)) == score


def test_the_distributions_of_the_written_digits_come_first():
    score = Score(3.7, 0.1, Scale(0, 10), "3.7", {"2": (0.1,) * 10, "3": (0.1,) * 10, "": (0.1,) * 10})
    assert [each.prefix for each in score_to_wire(score).digit_distributions] == ["", "3", "2"]


@given(st.lists(st.integers(1, 4000), max_size=8))
def test_where_the_pixels_are_cut_does_not_matter(sizes):
    sent = clip()
    pixels = b"".join(pixel_slices(sent))
    assembler = ClipAssembler(clip_header(sent))
    for size in sizes:
        assembler.feed(pixels[:size])
        pixels = pixels[size:]
    assembler.feed(pixels)
    assert np.array_equal(assembler.clip().stacked(), sent.stacked())


def test_large_frames_travel_in_slices_of_at_most_a_mebibyte():
    assert [len(each) for each in pixel_slices(clip(1, 28 * 24))] == [SLICE_BYTES, 28 * 24 * 28 * 24 * 3 - SLICE_BYTES]


def test_missing_pixels_are_counted_in_the_complaint():
    assembler = ClipAssembler(clip_header(clip()))
    assembler.feed(b"12345")
    with pytest.raises(InvalidRequest, match=r"5 bytes .* 4704"):
        assembler.clip()


def test_a_pixel_too_many_is_refused():
    sent = clip()
    assembler = ClipAssembler(clip_header(sent))
    with pytest.raises(InvalidRequest, match="more pixels"):
        assembler.feed(b"".join(pixel_slices(sent)) + b"x")


def test_a_header_that_goes_back_in_time_is_refused():
    header = clip_header(clip())
    header.pts_seconds[:] = [1.0, 0.0]
    assembler = ClipAssembler(header)
    assembler.feed(b"\0" * 4704)
    with pytest.raises(InvalidRequest, match="back in time"):
        assembler.clip()


def test_an_unset_form_is_the_regular_one():
    assert form_from_wire(0) == "regular"


def test_a_form_from_the_future_is_refused():
    with pytest.raises(InvalidRequest, match="99"):
        form_from_wire(99)


@pytest.mark.parametrize("resample", ["nearest", "bicubic"])
def test_how_pictures_are_shrunk_survives_the_journey(resample):
    small = small_checkpoint()
    first = ShrinkFirst(max_pixels=262_144, video_max_pixels=16_384, resample=resample)
    pixels = small.pixels.model_copy(update={"shrink_first": first})
    reported = spec_to_wire(small.model_copy(update={"pixels": pixels}), "f1").shrink_first
    read = (reported.image_pixels, reported.video_pixels, resampling_from_wire(reported.resampling))
    assert read == (262_144, 16_384, resample)


def test_a_checkpoint_that_shrinks_nothing_says_nothing_of_it():
    reported = spec_to_wire(small_checkpoint(), "f1")
    assert not reported.HasField("shrink_first")
    assert reported.enlarge_first_pixels == 0


def test_how_grades_are_read_is_reported():
    small = small_checkpoint()
    median = small.model_copy(update={"grade_reading": "median", "grade_quantile": {"clarity": 0.25}})
    assert not spec_to_wire(small, "f1").grade_quantiles
    reported = spec_to_wire(median, "f1").grade_quantiles
    assert dict(reported) == {**{name: 0.5 for name, kind in KINDS.items() if kind.is_graded}, "clarity": 0.25}


def test_resampling_of_a_later_release_is_refused():
    with pytest.raises(InvalidRequest, match="resampling 99"):
        resampling_from_wire(99)


def test_an_attribute_that_is_not_of_the_schema_is_refused():
    sent = attribute_to_wire(Attribute("clarity", "very clear"))
    sent.grade = "crisp"
    with pytest.raises(InvalidRequest, match="crisp"):
        attributes_from_wire([sent])


@pytest.mark.parametrize(
    "options",
    [
        VideoOptions(),
        VideoOptions(sampling=Sampling.FPS, frames_per_second=2.5, window_seconds=4.0, hop_seconds=1.0),
        VideoOptions(sampling=Sampling.UNIFORM, frame_count=16, key_frames=KeyFrames.ONLY),
        VideoOptions(sampling=Sampling.SCENE, pooling=Pooling.PERCENTILE, percentile=10.0),
        VideoOptions(pooling=Pooling.WORST, worst_count=3, keep_repeats=False),
    ],
)
def test_options_come_back_as_they_were(options):
    assert video_options_from_wire(video_options_to_wire(options)) == options


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"sampling": {"policy": 99}}, "config.video.sampling"),
        ({"sampling": {"key_frames": 99}}, "config.video.key_frames"),
        ({"pooling": {"method": 99}}, "config.video.pooling"),
    ],
)
def test_what_a_newer_client_asks_for_is_refused_by_name(message, field):
    with pytest.raises(InvalidRequest, match="this server is older") as wrong:
        video_options_from_wire(assay_pb2.VideoOptions(**message))
    assert wrong.value.field == field


@pytest.mark.parametrize("length", [0.0, 1e-9, 4.0, 3599.999_999_999])
def test_a_duration_is_exact_to_the_nanosecond(length):
    assert seconds(duration(length)) == length
