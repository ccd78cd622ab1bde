import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from assay.errors import BadMedia
from gateway.decode.spec import Shrink, Target
from gateway.decode.worker.resize import Orientation, from_exif, from_matrix, resize_picture, smart_resize

SIDE = st.integers(1, 5000)
TARGETS = st.builds(
    lambda low, more, factor: Target(low * factor**2, (low + more) * factor**2, factor),
    st.integers(1, 100),
    st.integers(0, 4000),
    st.sampled_from([14, 28, 32]),
)


@pytest.mark.slow  # importing transformers is
@given(SIDE, SIDE, TARGETS)
def test_size_is_that_of_the_authors_processor(height, width, target):
    theirs = pytest.importorskip("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl").smart_resize
    try:
        expected = theirs(height, width, target.factor_px, target.min_pixels, target.max_pixels)
    except ValueError:
        with pytest.raises(BadMedia, match="200 times"):
            smart_resize(height, width, target)
    else:
        assert smart_resize(height, width, target) == expected


@given(SIDE, SIDE, TARGETS)
def test_sides_are_multiples_of_the_factor(height, width, target):
    if max(height, width) <= 200 * min(height, width):
        assert [side % target.factor_px for side in smart_resize(height, width, target)] == [0, 0]


@pytest.mark.parametrize(("height", "width"), [(1080, 1920), (360, 640), (3000, 4000), (50, 50), (900, 601)])
def test_area_is_within_the_target(height, width):
    target = Target(56 * 56, 448 * 448)
    resized = smart_resize(height, width, target)
    assert target.min_pixels <= resized[0] * resized[1] <= target.max_pixels


CORNERS = np.array([[[1] * 3, [2] * 3, [3] * 3], [[4] * 3, [5] * 3, [6] * 3]], np.uint8)
"""1 2 3 over 4 5 6"""
TURNED = {
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],
    3: [[6, 5, 4], [3, 2, 1]],
    4: [[4, 5, 6], [1, 2, 3]],
    5: [[1, 4], [2, 5], [3, 6]],
    6: [[4, 1], [5, 2], [6, 3]],
    7: [[6, 3], [5, 2], [4, 1]],
    8: [[3, 6], [2, 5], [1, 4]],
}


@pytest.mark.parametrize(("exif", "expected"), TURNED.items())
def test_every_exif_orientation_is_made_upright(exif, expected):
    assert from_exif(exif).upright(CORNERS)[:, :, 0].tolist() == expected


@pytest.mark.parametrize("value", [None, 0, 9, "6", (6,)])
def test_a_senseless_orientation_means_upright(value):
    assert from_exif(value) == Orientation()


@pytest.mark.parametrize(
    ("matrix", "exif"),
    [((1, 0, 0, 1), 1), ((-1, 0, 0, 1), 2), ((-1, 0, 0, -1), 3), ((0, 1, -1, 0), 6), ((0, -1, 1, 0), 8)],
)
def test_a_display_matrix_means_the_same_as_exif(matrix, exif):
    assert from_matrix(*matrix) == from_exif(exif)


def test_a_large_picture_is_brought_down_to_the_area_before_it_is_resized():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 1600, 3), np.uint8))
    # What LLaMA-Factory and then Qwen2-VL's processor make of it: 1600 x 900 -> 682 x 384 -> 672 x 392.
    first = picture.resize((682, 384), Image.Resampling.NEAREST)
    expected = np.asarray(first.resize((672, 392), Image.Resampling.BICUBIC))
    shrunk = Target(200_704, 401_408, shrink_first=Shrink(512 * 512, "nearest"))
    assert np.array_equal(resize_picture(picture, shrunk), expected)


def test_a_small_picture_is_not_touched_by_the_shrink():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (500, 500, 3), np.uint8))
    once, shrunk = (Target(200_704, 401_408, shrink_first=first) for first in (None, Shrink(512 * 512, "nearest")))
    assert np.array_equal(resize_picture(picture, shrunk), resize_picture(picture, once))


def test_the_two_ways_of_shrinking_differ():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8))
    nearest, bicubic = (Target(200_704, 401_408, shrink_first=Shrink(512 * 512, how)) for how in ("nearest", "bicubic"))
    assert not np.array_equal(resize_picture(picture, nearest), resize_picture(picture, bicubic))


def test_a_shrink_by_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="lanczos"):
        Shrink(512 * 512, "lanczos")


ENLARGED = Target(63_504, 63_504, enlarge_first_pixels=504 * 504)


def smooth(height_px: int, width_px: int) -> Image.Image:
    """A picture whose detail survives being enlarged and brought down again."""
    noise = np.random.default_rng(0).integers(0, 256, (height_px // 8, width_px // 8, 3), np.uint8)
    return Image.fromarray(noise).resize((width_px, height_px), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("size", [(200, 300), (224, 224), (400, 264), (64, 640)])
def test_a_picture_and_its_double_are_nearly_the_same_where_small_ones_are_enlarged_first(size):
    small = smooth(*size)
    double = small.resize((2 * small.width, 2 * small.height), Image.Resampling.BICUBIC)
    one, other = (resize_picture(each, ENLARGED) for each in (small, double))
    assert one.shape == other.shape
    assert np.abs(one.astype(int) - other).mean() < 0.5


def test_a_picture_and_its_double_differ_where_nothing_is_enlarged_first():
    small = smooth(200, 300)
    double = small.resize((2 * small.width, 2 * small.height), Image.Resampling.BICUBIC)
    one, other = (resize_picture(each, Target(63_504, 63_504)) for each in (small, double))
    assert one.shape != other.shape


def test_a_large_picture_is_not_touched_by_the_enlarging():
    large = smooth(512, 512)
    assert np.array_equal(resize_picture(large, ENLARGED), resize_picture(large, Target(63_504, 63_504)))


def test_a_picture_of_one_pixel_can_be_enlarged_first():
    assert resize_picture(Image.new("RGB", (1, 1)), ENLARGED).shape == (252, 252, 3)
