"""Frames and clips: what cannot be a picture or a row of them is refused."""

import numpy as np
import pytest

from assay.frame import Clip, Frame


def frame(pts_seconds: float = 0.0, size_px: int = 28) -> Frame:
    return Frame(np.zeros((size_px, size_px, 3), np.uint8), pts_seconds)


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_pixels_that_are_no_rgb_picture_are_refused(pixels):
    with pytest.raises(ValueError, match="pixels must"):
        Frame(pixels)


@pytest.mark.parametrize("pts_seconds", [-0.1, float("nan"), float("inf")])
def test_a_time_before_the_first_frame_or_never_is_refused(pts_seconds):
    with pytest.raises(ValueError, match="pts_seconds"):
        frame(pts_seconds)


@pytest.mark.parametrize("times", [(1.0, 0.5), (1.0, 1.0)])
def test_frames_that_go_back_in_time_are_refused(times):
    with pytest.raises(ValueError, match="back in time"):
        Clip(tuple(map(frame, times)), is_video=True)


def test_frames_of_two_sizes_are_no_clip():
    with pytest.raises(ValueError, match="one size"):
        Clip((frame(0.0), frame(1.0, 56)), is_video=True)


def test_an_image_is_one_frame():
    with pytest.raises(ValueError, match="one frame"):
        Clip((frame(0.0), frame(1.0)), is_video=False)


def test_a_clip_stacks_its_frames_in_order_of_time():
    clip = Clip((frame(0.0), frame(1.0), frame(2.0)), is_video=True)
    assert clip.stacked().shape == (3, 28, 28, 3)
