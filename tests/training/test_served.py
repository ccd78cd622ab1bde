"""Pictures are trained on at the size at which transformers' own processor would serve them."""

import numpy as np
import pytest
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from assay.checkpoint import ModelSpec
from gateway.decode.spec import Target
from gateway.decode.worker.resize import resize_picture
from tests.training.test_loop import noise_photo
from training.batches import Batches, Rated, Tray
from training.served import served, served_size


@pytest.mark.parametrize("size", [(224, 224), (675, 900), (3000, 4000), (100, 90), (1080, 1920), (30, 600)])
def test_the_size_is_that_of_the_processor(checkpoint: ModelSpec, size: tuple[int, int]) -> None:
    budget = checkpoint.pixels
    theirs = smart_resize(*size, factor=28, min_pixels=budget.min_pixels, max_pixels=budget.max_pixels)
    assert served_size(*size, budget) == theirs


@pytest.mark.parametrize("size", [(224, 224), (100, 90), (130, 300), (675, 900)])
def test_the_pixels_are_those_of_the_gateway(checkpoint: ModelSpec, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    budget = checkpoint.pixels
    assert budget.enlarge_first_pixels
    target = Target(budget.min_pixels, budget.max_pixels, enlarge_first_pixels=budget.enlarge_first_pixels)
    assert np.array_equal(served(pixels, budget), resize_picture(Image.fromarray(pixels), target))


def test_pictures_are_trained_on_as_they_are_served() -> None:
    small = Rated(noise_photo(0), 0, 3.0, 3.0)
    plain, enlarged = (
        Batches([small], 1, trays=(Tray("rated", 56, 56, 4, 1.0),), enlarge_first_pixels=area)[0]
        for area in (0, 40_000)
    )
    assert [picture.truth for picture in plain] == [picture.truth for picture in enlarged]
    assert not any(np.array_equal(a.frames, b.frames) for a, b in zip(plain, enlarged, strict=True))
