"""Sound: which photos a known damage may be put on."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from evaluation.sound import Measures, fit_for, measures

SOUND = Measures(0.05, 0.5, 0.45, 0.01, 0.0, 0.12, 0, 4.0)


def stripes(degrees: float = 0.0) -> Image.Image:
    rows = np.repeat(np.arange(512) // 32 % 2 * 90 + 80, 512).reshape(512, 512).astype(np.uint8)
    picture = Image.fromarray(np.dstack([rows, rows // 2, rows])).convert("RGB")
    return picture.rotate(degrees, Image.Resampling.BICUBIC).crop((100, 100, 412, 412))


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(60, 190, (512, 512, 3), dtype=np.uint8))


@pytest.mark.parametrize("attribute", ["clarity", "exposure", "saturation", "level_shot"])
def test_a_sound_photo_is_fit_for_everything(attribute: str) -> None:
    assert fit_for(attribute, SOUND)


@pytest.mark.parametrize(
    ("attribute", "fault"),
    [
        ("clarity", {"fine_detail": 0.1}),
        ("clarity", {"detail": 0.001}),
        ("exposure", {"luma": 0.1}),
        ("exposure", {"bright": 0.5}),
        ("exposure", {"dark": 0.4}),
        ("saturation", {"chroma": 0.01}),
        ("saturation", {"chroma": 0.5}),
        ("saturation", {"luma": 0.9}),
        ("level_shot", {"edge_degrees": 4}),
        ("level_shot", {"edge_excess": 1.1}),
    ],
    ids=str,
)
def test_a_fault_of_its_own_makes_a_photo_unfit(attribute: str, fault: dict[str, Any]) -> None:
    assert not fit_for(attribute, replace(SOUND, **fault))


def test_blur_takes_the_fine_detail_that_is_measured() -> None:
    blurred = noise().filter(ImageFilter.GaussianBlur(3))
    assert measures(blurred).fine_detail < 0.3 < measures(noise()).fine_detail


@pytest.mark.parametrize("degrees", [0, 5, -7])
def test_the_direction_of_edges_is_that_of_the_turn(degrees: int) -> None:
    assert abs(measures(stripes(degrees)).edge_degrees) == pytest.approx(abs(degrees), abs=1)


def test_noise_has_no_direction() -> None:
    assert measures(noise()).edge_excess < 1.5


def test_a_flat_picture_is_fit_for_neither_clarity_nor_level_shot() -> None:
    flat = measures(Image.new("RGB", (100, 80), (128, 128, 128)))
    assert [name for name in ("clarity", "level_shot") if fit_for(name, flat)] == []


@pytest.mark.parametrize("size", [(64, 48), (512, 512), (37, 91)])
def test_a_plain_colour_has_no_edges(size: tuple[int, int]) -> None:
    assert measures(Image.new("RGB", size, (120, 110, 90))).edge_excess == 0.0


def test_a_drawing_of_level_lines_alone_is_measured_as_a_number() -> None:
    assert 8 < measures(stripes()).edge_excess < float("inf")
