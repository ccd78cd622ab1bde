"""Which frames count as nearly the same."""

import numpy as np
import pytest

from assay.frame import Clip, Frame
from assay.repeats import Repeats, distinct

NOISE = np.random.default_rng(5).integers(40, 200, (196, 224, 3), np.uint8)


def count(*pictures, levels=1.0):
    repeats = Repeats(levels)
    for place, pixels in enumerate(pictures):
        repeats.feed(Frame(pixels.astype(np.uint8), float(place)))
    return repeats.count


def test_the_same_picture_is_a_repeat():
    assert count(NOISE, NOISE, NOISE) == 2


def test_the_noise_of_a_codec_is_a_repeat():
    noise = np.random.default_rng(6).integers(-1, 2, NOISE.shape)
    assert count(NOISE, NOISE + noise) == 1


def test_another_brightness_is_none():
    assert count(NOISE, NOISE + 2) == 0


def test_a_slow_fade_is_seen_once_it_has_gone_far_enough():
    fade = [NOISE + step // 2 for step in range(9)]  # half a level per frame
    assert count(*fade) == 6


def test_a_small_thing_that_moves_is_no_repeat():
    moved = NOISE.copy()
    moved[60:76, 60:76] += 40  # 0.6 % of the picture: 0.2 levels on the whole
    assert count(NOISE, moved) == 0


def test_zero_levels_know_no_repeats():
    assert count(NOISE, NOISE, levels=0.0) == 0


def test_a_picture_of_another_size_is_no_repeat():
    assert count(NOISE, NOISE[:28]) == 0


@pytest.mark.parametrize("levels", [0.0, 1.0])
def test_a_clip_keeps_one_of_each_run(levels):
    repeats = Repeats(levels)
    frames = [repeats.feed(Frame(NOISE + step // 3 * 20, float(step))) for step in range(6)]
    kept = [frame.pts_seconds for frame in distinct(Clip(tuple(frames), is_video=True)).frames]
    assert kept == ([0.0, 3.0] if levels else [0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
