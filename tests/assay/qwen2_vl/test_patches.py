from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from assay.engine.model.loading import LoadedModel
from assay.errors import CheckpointError, InvalidRequest
from assay.frame import Clip, Frame
from assay.qwen2_vl.patches import PatchLayout

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
LAYOUT = PatchLayout(CLIP_MEAN, CLIP_STD)


def _reference(frame: Frame) -> tuple[NDArray[np.float32], list[int]]:
    """transformers' own pixel values, (patches, 3, 2, 14, 14), and grid of one picture."""
    # The module without torchvision has to be named: the package's door asks for the other one.
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    processed = Qwen2VLImageProcessorPil()(frame.pixels, do_resize=False, return_tensors="np")
    return processed["pixel_values"].reshape(-1, 3, 2, 14, 14), processed["image_grid_thw"][0].tolist()


@pytest.mark.parametrize(("height", "width"), [(28, 28), (56, 84), (140, 56)])
def test_an_image_is_what_the_image_processor_makes_of_it(
    make_clip: Callable[..., Clip], height: int, width: int
) -> None:
    clip = make_clip(height=height, width=width)
    mine, (theirs, grid) = LAYOUT.patches(clip), _reference(clip.frames[0])
    assert list(mine.grid_thw) == grid
    np.testing.assert_allclose(mine.pixel_values, theirs.reshape(len(theirs), -1), atol=1e-5)


def test_a_video_holds_each_frame_as_the_image_processor_makes_it(make_clip: Callable[..., Clip]) -> None:
    clip = make_clip(4, is_video=True)
    mine = LAYOUT.patches(clip)
    assert mine.grid_thw == (2, 4, 6)
    by_time = mine.pixel_values.reshape(2, 24, 3, 2, 14, 14)
    for place, frame in enumerate(clip.frames):
        theirs, _ = _reference(frame)
        np.testing.assert_allclose(by_time[place // 2, :, :, place % 2], theirs[:, :, 0], atol=1e-5)


def test_an_odd_video_repeats_its_last_frame(make_clip: Callable[..., Clip]) -> None:
    odd = make_clip(3, is_video=True)
    even = Clip((*odd.frames, Frame(odd.frames[-1].pixels, pts_seconds=9.0)), is_video=True)
    np.testing.assert_array_equal(LAYOUT.patches(odd).pixel_values, LAYOUT.patches(even).pixel_values)


def test_pixel_values_are_contiguous_float32(image: Clip) -> None:
    pixels = LAYOUT.patches(image).pixel_values
    assert (str(pixels.dtype), pixels.flags.c_contiguous) == ("float32", True)


def test_four_patches_are_one_token() -> None:
    assert LAYOUT.tokens((2, 4, 6)) == 12


def test_frames_off_the_grid_are_refused_with_their_size(make_clip: Callable[..., Clip]) -> None:
    with pytest.raises(InvalidRequest, match="multiples of 28 px, got 90 x 56 px"):
        LAYOUT.patches(make_clip(height=56, width=90))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"image_mean": None}, "image_mean must be three numbers, got None"),
        ({"image_std": [0.5]}, r"image_std must be three numbers, got \[0.5\]"),
        ({"rescale_factor": 1 / 127.5}, "must be 1/255"),
        ({"do_normalize": False}, "do_normalize must be true, got False"),
    ],
)
def test_a_preprocessor_we_cannot_follow_is_refused(change: dict[str, object], complaint: str) -> None:
    config = {"image_mean": CLIP_MEAN, "image_std": CLIP_STD, "rescale_factor": 1 / 255} | change
    with pytest.raises(CheckpointError, match=complaint):
        PatchLayout.from_config(config)


def test_the_layout_is_read_from_the_checkpoint(checkpoint: LoadedModel) -> None:
    assert checkpoint.layout == LAYOUT
