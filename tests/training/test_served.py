"""Pictures are trained on at the size at which transformers' own processor would serve them."""

import pytest
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from assay.checkpoint import Checkpoint
from training.served import served_size


@pytest.mark.parametrize("size", [(224, 224), (675, 900), (3000, 4000), (100, 90), (1080, 1920), (30, 600)])
def test_the_size_is_that_of_the_processor(checkpoint: Checkpoint, size: tuple[int, int]) -> None:
    budget = checkpoint.pixels
    theirs = smart_resize(*size, factor=28, min_pixels=budget.min_pixels, max_pixels=budget.max_pixels)
    assert served_size(*size, budget) == theirs
