"""gateway/video_plan.py: request, operator and model -> which frames are decoded and how they are cut into clips."""

import math

import numpy as np
import pytest

from assay.errors import InvalidRequest
from assay.frame import Frame
from assay.v1 import clip_pb2, video_pb2
from assay.video import KeyFrames, Pooling, Sampling, VideoOptions
from gateway.decode.spec import DecodeLimits
from gateway.video_plan import VideoDefaults, VideoPlan, image_spec, live_windows
from gateway.windows import Runs, Windows

SPEC = clip_pb2.ModelSpec(
    factor_px=28, image_min_pixels=3136, image_max_pixels=112_896, video_min_pixels=3136, video_max_pixels=50_176,
    clip_seconds=4.0, clip_max_frames=8, frames_per_second=2.0,
)  # fmt: skip


def plan(asked: VideoOptions | None = None, **defaults) -> VideoPlan:
    return VideoPlan.of(asked or VideoOptions(), SPEC, VideoDefaults(**defaults))


def test_what_nobody_says_is_the_models():
    found = plan()
    assert (found.frames_per_second, found.window_seconds, found.hop_seconds) == (2.0, 4.0, 4.0)


def test_a_request_goes_before_the_operator():
    asked = VideoOptions(pooling=Pooling.WORST, worst_count=2)
    assert plan(asked, pooling=Pooling.PERCENTILE, worst_count=5).rule.worst_count == 2


def test_the_operator_goes_before_the_model():
    assert plan(window_seconds=2.0).window_seconds == 2.0


def test_no_more_frames_are_decoded_than_the_model_can_be_shown():
    assert plan(VideoOptions(sampling=Sampling.FPS, frames_per_second=30.0)).frames_per_second == 2.0


def test_what_means_nothing_together_is_refused():
    with pytest.raises(InvalidRequest):
        plan(VideoOptions(sampling=Sampling.UNIFORM, window_seconds=2.0))


def test_scenes_need_every_frame_and_are_cut_into_windows_afterwards():
    found = plan(VideoOptions(sampling=Sampling.SCENE, frames_per_second=1.0))
    spec = found.decode_spec(SPEC, DecodeLimits())
    assert (found.key_frames, spec.sampling, spec.window_seconds) == (KeyFrames.EXACT, Sampling.FPS, math.inf)
    assert spec.frames_per_second > found.frames_per_second


def test_a_uniform_sample_is_cut_by_number_and_any_other_by_time():
    uniform = plan(VideoOptions(sampling=Sampling.UNIFORM, frame_count=16))
    assert isinstance(uniform.windows(), Runs)
    assert isinstance(plan().windows(), Windows)


def test_repeats_are_shown_to_the_model_where_that_is_asked():
    assert (plan().repeat_levels, plan(VideoOptions(keep_repeats=True)).repeat_levels) == (1.0, 0.0)


def test_the_client_reads_what_was_decided():
    report = plan(VideoOptions(window_seconds=2.0)).report()
    assert (report.policy, report.window_length.ToMilliseconds()) == (video_pb2.SAMPLING_POLICY_FPS, 2000)


def test_of_a_uniform_sample_the_client_reads_the_number():
    report = plan(VideoOptions(sampling=Sampling.UNIFORM, frame_count=12)).report()
    assert (report.frame_count, report.HasField("window_length")) == (12, False)


def test_a_picture_is_decoded_as_the_model_wants_it():
    spec = image_spec(SPEC, DecodeLimits())
    assert (spec.is_video, spec.target.max_pixels, spec.target.shrink_first) == (False, 112_896, None)


@pytest.mark.parametrize(
    ("asked", "starts"), [((0.0, 0.0), [0.0, 4.0]), ((2.0, 0.0), [0.0, 2.0, 4.0, 6.0]), ((4.0, 2.0), [0.0, 2.0, 4.0])]
)
def test_a_live_window_is_the_models_and_hops_by_its_length_unless_asked(asked, starts):
    windows = live_windows(SPEC, *asked)
    frames = [Frame(np.zeros((1, 1, 3), np.uint8), place / 2) for place in range(17)]
    clips = [clip for frame in frames for clip in windows.feed(frame)]
    assert [clip.frames[0].pts_seconds for clip in clips] == starts
