import pytest

from training.paper.settings import AdapterSettings
from training.paper.shape import shape, step


def test_the_true_shape_has_the_published_number_of_weights() -> None:
    assert shape(AdapterSettings(dropout=0.05)).weights == 8_291_375_616


@pytest.mark.gpu
def test_one_step_of_the_true_shape_fits_a_large_gpu() -> None:
    assert step(AdapterSettings(dropout=0.05), batch=2, tokens=2048)[1] < 80
