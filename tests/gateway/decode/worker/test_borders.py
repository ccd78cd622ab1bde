"""White and black bars are found where they are, and nothing else is taken for one."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from gateway.decode.worker.borders import Borders, found_borders

PHOTO = Image.fromarray(np.random.default_rng(0).integers(30, 220, (90, 120, 3), np.uint8))


def found(picture):
    return found_borders(np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("colour", ["black", "white"])
def test_a_frame_is_found_to_the_pixel(colour):
    assert found(ImageOps.expand(PHOTO, (6, 4, 6, 5), colour)) == (Borders(4, 5, 6, 6), colour)


def test_a_letterbox_is_found():
    assert found(ImageOps.expand(PHOTO, (0, 20), "black")) == (Borders(20, 20, 0, 0), "black")


def test_what_is_left_is_the_picture():
    borders, _ = found(ImageOps.expand(PHOTO, 7, "white"))
    assert np.array_equal(borders.without(np.asarray(ImageOps.expand(PHOTO, 7, "white"))), np.asarray(PHOTO))


def test_a_photo_has_none():
    assert found(PHOTO) is None


def test_a_subject_on_a_white_ground_keeps_its_ground():
    picture = Image.new("RGB", (120, 90), "white")
    ImageDraw.Draw(picture).ellipse((30, 20, 90, 70), fill="red")
    assert found(picture) is None


def test_a_white_sky_over_a_straight_horizon_stays():
    assert found(ImageOps.expand(PHOTO, (0, 30, 0, 0), "white")) is None


@pytest.mark.parametrize("colour", ["black", "white"])
def test_a_plain_picture_has_none(colour):
    assert found(Image.new("RGB", (120, 90), colour)) is None


def test_a_bar_of_another_colour_belongs_to_the_picture():
    assert found(ImageOps.expand(PHOTO, 6, "navy")) is None
