"""Clips move as their motion says."""

import numpy as np
import pytest

from training import clips
from training.clips import Motion, Pan

PHOTO = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)


def frames_of(motion: Motion) -> list[np.ndarray]:
    pan = Pan(PHOTO, (180.0, 300.0), np.array([0.0, 0.0]), np.array([100.0, 90.0]), [i / 2 for i in range(8)])
    return pan.frames(motion, 56, 84, np.random.default_rng(1))


def different(frames: list[np.ndarray]) -> int:
    return len({frame.tobytes() for frame in frames})


def test_a_pan_never_shows_the_same_picture_twice() -> None:
    assert different(frames_of(Motion())) == 8


def test_a_clip_that_freezes_for_two_seconds_shows_few_pictures() -> None:
    assert different(frames_of(Motion(freeze_seconds=2.0))) in (2, 3)


def test_a_longer_freeze_and_a_stronger_shake_do_more_damage() -> None:
    motions = [Motion(), *(clips.motion(kind, amount) for kind in clips.MOTIONS for amount in (0.8, 3.0))]
    none, short, long, mild, strong = (motion.damage() for motion in motions)
    assert none == 0 < short < long
    assert 0 < mild < strong


def test_a_shaken_clip_strays_from_the_way_of_the_pan() -> None:
    calm, shaken = frames_of(Motion()), frames_of(Motion(shake_percent=4.0))
    assert all(not np.array_equal(a, b) for a, b in zip(calm, shaken, strict=True))


@pytest.mark.parametrize("kind", clips.MOTIONS)
def test_any_strength_that_is_drawn_does_some_damage(kind: str) -> None:
    rng = np.random.default_rng(0)
    assert all(clips.motion(kind, clips.draw(kind, rng)).damage() > 0 for _ in range(20))
