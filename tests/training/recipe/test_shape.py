from pathlib import Path

import pytest
import torch
from transformers import Qwen2VLConfig

from training.recipe.settings import AdapterSettings
from training.recipe.shape import shape, step


def test_the_true_shape_has_the_published_number_of_weights() -> None:
    assert shape(AdapterSettings(dropout=0.05)).weights == 8_291_375_616


def test_the_step_runs_without_a_gpu_on_a_small_shape(base: Path) -> None:
    config = Qwen2VLConfig.from_pretrained(base)
    chosen = AdapterSettings(rank=4, alpha=8, dropout=0.05)
    seconds, gib = step(chosen, batch=2, tokens=48, patches_side=8, device="cpu", config=config)
    assert (seconds > 0, gib) == (True, 0.0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_the_step_of_the_true_shape_says_what_it_lacks() -> None:
    with pytest.raises(RuntimeError, match="no CUDA device"):
        step(AdapterSettings(dropout=0.05), batch=2, tokens=2048)


@pytest.mark.gpu
def test_one_step_of_the_true_shape_fits_a_large_gpu() -> None:
    assert step(AdapterSettings(dropout=0.05), batch=2, tokens=2048)[1] < 80
