"""Which frames count as nearly the same."""

import numpy as np
import pytest

from assay.frame import Clip, Frame
from gateway.repeats import Repeats, distinct

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


def test_a_slow_fade_is_found_once_it_has_gone_far_enough():
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


def held(pictures: str) -> str:
    """Of frames named by what they show."""
    shown = {name: NOISE + place for place, name in enumerate(sorted(set(pictures)))}
    clip = Clip(tuple(Frame(shown[name], float(at)) for at, name in enumerate(pictures)), is_video=True)
    names = {id(pixels): name for name, pixels in shown.items()}
    return "".join(names[id(frame.pixels)] for frame in distinct(clip).frames)


@pytest.mark.parametrize(
    ("pictures", "left"),
    [
        ("AAAAAAAA", "A"),
        ("A", "A"),
        ("AAAABBBB", "AABB"),  # and never AB, which is something that moves
        ("AAAB", "AAAB"),
        ("AAABBBBB", "AAABBB"),
        ("ABABAB", "AB"),
        ("ABCDEF", "ABCDEF"),
        ("AABBB", "AABB"),
        ("AABBC", "AABBC"),
    ],
)
def test_a_clip_keeps_one_of_each_run_of_pairs(pictures, left):
    assert held(pictures) == left


@pytest.mark.parametrize("levels", [0.0, 1.0])
def test_a_clip_keeps_all_where_nothing_is_a_repeat(levels):
    repeats = Repeats(levels)
    frames = [repeats.feed(Frame(NOISE + step // 4 * 20, float(step))) for step in range(8)]
    times = [frame.pts_seconds for frame in distinct(Clip(tuple(frames), is_video=True)).frames]
    assert times == ([0.0, 1.0, 4.0, 5.0] if levels else [*map(float, range(8))])


def photo_of(*pictures, photo_seconds=0.0):
    """Whether the clip of these pictures, a frame a second, has the photo of one of them, known with the second."""
    repeats, photo = Repeats(1.0), Frame(NOISE[::2], photo_seconds)
    frames = []
    for at, pixels in enumerate(pictures):
        frames.append(repeats.feed(Frame(pixels, float(at))))
        if at == 1:
            repeats.feed_photo(photo)
    repeats.feed(Frame(NOISE + 90, 9.0))
    return repeats.photo_of(Clip(tuple(frames), is_video=True)) is photo


def test_a_clip_of_one_picture_has_the_photo_of_it():
    assert photo_of(NOISE, NOISE, NOISE)


def test_a_clip_of_two_pictures_has_none():
    assert not photo_of(NOISE, NOISE, NOISE + 9)


def test_the_photo_of_another_picture_is_not_taken():
    assert not photo_of(NOISE, NOISE, NOISE, photo_seconds=1.0)
