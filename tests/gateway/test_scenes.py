"""Where scenes begin, and which frames are sampled of them."""

import numpy as np
import pytest

from assay.frame import Frame
from gateway.scenes import Scenes

RNG = np.random.default_rng(11)
PLACES = [RNG.integers(0, 256, (7, 9, 3)).repeat(28, 0).repeat(28, 1) for _ in range(4)]


def looks(*scenes, each_seconds=2.5):
    """Frames at 8 per second: of each scene a picture of its own, which pans slowly."""
    per_scene = round(each_seconds * 8)
    shown = [np.roll(scene, i, axis=1).astype(np.uint8) for scene in scenes for i in range(per_scene)]
    return [Frame(pixels, i / 8) for i, pixels in enumerate(shown)]


def fed(frames, frames_per_second=2.0):
    scenes = Scenes(frames_per_second)
    return scenes, [held for frame in frames if (held := scenes.feed(frame))]


def test_a_scene_begins_where_the_picture_changes_at_once():
    scenes, held = fed(looks(*PLACES))
    assert [frame.pts_seconds for frame in held if frame.begins_scene] == [2.5, 5.0, 7.5]
    assert scenes.cuts == 3


def test_the_grid_of_samples_begins_anew_at_a_cut():
    _, held = fed(looks(*PLACES[:2], each_seconds=1.125))
    assert [frame.pts_seconds for frame in held] == [0.0, 0.5, 1.0, 1.125, 1.625, 2.125]


def test_a_slow_pan_is_one_scene():
    assert fed(looks(PLACES[0], each_seconds=6.0))[0].cuts == 0


def test_a_fade_is_one_scene():
    steps = np.linspace(0, 1, 40)
    frames = [PLACES[0] * (1 - part) + PLACES[1] * part for part in steps]
    faded = [Frame(pixels.astype(np.uint8), i / 8) for i, pixels in enumerate(frames)]
    assert fed(faded)[0].cuts == 0


@pytest.mark.parametrize("rate", [1.0, 2.0, 8.0])
def test_frames_are_sampled_at_the_rate_that_is_asked_for(rate):
    assert len(fed(looks(PLACES[0], each_seconds=4.0), rate)[1]) == 4 * rate
