"""training/recipe/picture.py against the gateway: the model is trained on the pixels that it is served."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from PIL import Image

from assay.checkpoint import Pixels, read_checkpoint
from assay.frame import Frame
from gateway.decode.spec import DecodeSpec, Shrink, Target
from gateway.decode.worker.resize import resize_picture
from gateway.decode.worker.still import decode_still
from training.recipe.picture import read_picture
from training.recipe.settings import PictureSettings, read_settings

REALQA = Path("checkpoints/realqa-7b/assay.toml")
CONFIGS = Path("training/recipe/configs")


class Whole:
    """An upload that has arrived."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read_all(self) -> bytes:
        return self._data


def target_of(pixels: Pixels) -> Target:
    first = pixels.shrink_first
    shrink = Shrink(first.max_pixels, first.resample) if first else None
    return Target(pixels.min_pixels, pixels.max_pixels, pixels.factor_px, shrink)


def served(variant: str, directory: Path) -> Pixels:
    """realqa-7b's pixel budget in one of its variants."""
    text = REALQA.read_text(encoding="utf-8").replace('variant = "authors"', f'variant = "{variant}"')
    (directory / "assay.toml").write_text(text, encoding="utf-8")
    return read_checkpoint(directory).pixels


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    colours = np.random.default_rng(width).integers(0, 256, (height, width, 4), dtype=np.uint8)
    return Image.fromarray(colours, "RGBA").convert(mode)


def both(file: Path, pixels: Pixels, chosen: PictureSettings) -> tuple[Frame, Frame]:
    """As trained, and as the decode worker makes it of the same bytes."""
    spec = DecodeSpec(is_video=False, target=target_of(pixels))
    data = file.read_bytes()
    container = {"jpg": "jpeg"}.get(file.suffix[1:], file.suffix[1:])
    upload: Any = Whole(data)
    (frame,) = [each for each in decode_still(upload, container, spec) if isinstance(each, Frame)]
    return read_picture(file, chosen).frames[0], frame


@pytest.mark.parametrize(("variant", "shrinks"), [("authors", True), ("straight", False)])
@given(width=st.integers(20, 1400), height=st.integers(20, 1400))
@examples(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_picture_of_any_size_is_the_same_to_the_pixel(
    variant: str, shrinks: bool, width: int, height: int, tmp_path: Path
) -> None:
    noise(width, height).save(tmp_path / "a.bmp")
    trained = read_picture(tmp_path / "a.bmp", PictureSettings(shrink_first=shrinks)).frames[0].pixels
    shown = resize_picture(noise(width, height), target_of(served(variant, tmp_path)))
    assert np.array_equal(trained, shown)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "1"])
@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_every_lossless_file_is_the_same_to_the_pixel(mode: str, suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"a.{suffix}"
    noise(900, 700, mode).save(file, lossless=True)
    trained, shown = both(file, served("authors", tmp_path), PictureSettings())
    assert np.array_equal(trained.pixels, shown.pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_turned_alike(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    noise(700, 500).save(tmp_path / "a.png", exif=exif)
    trained, shown = both(tmp_path / "a.png", served("authors", tmp_path), PictureSettings())
    assert np.array_equal(trained.pixels, shown.pixels)


@pytest.mark.parametrize("shrinks", [True, False])
def test_a_jpeg_differs_by_its_two_decoders_alone(shrinks: bool, tmp_path: Path) -> None:
    pixels = served("authors" if shrinks else "straight", tmp_path)
    trained, shown = both(Path("demo/photo.jpg"), pixels, PictureSettings(shrink_first=shrinks))
    apart = np.abs(trained.pixels.astype(int) - shown.pixels)
    assert float(apart.mean()) < 1.0


def test_sixteen_bits_are_read_as_their_upper_eight(tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (600, 600)).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "a.png")
    trained, shown = both(tmp_path / "a.png", served("authors", tmp_path), PictureSettings())
    # FFmpeg rounds where this cuts off.
    assert np.abs(trained.pixels.astype(int) - shown.pixels).max() <= 3


def test_a_picture_whose_white_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.ones((60, 60), np.float32)).save(buffer, "TIFF")
    (tmp_path / "a.tiff").write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match=r"a\.tiff has pixels of 32 bits"):
        read_picture(tmp_path / "a.tiff", PictureSettings())


@pytest.mark.parametrize(
    "name", sorted(file.stem for file in CONFIGS.glob("*.toml") if file.stem not in ("miniature", "from_scratch"))
)
def test_every_data_set_is_trained_in_the_sizes_that_are_served(name: str) -> None:
    chosen, pixels = read_settings(CONFIGS / f"{name}.toml").pictures, read_checkpoint(REALQA.parent).pixels
    assert chosen.shrink_first
    assert pixels.shrink_first is not None
    asked = chosen.min_pixels, chosen.max_pixels, chosen.shrink_to_px**2, "nearest"
    first = pixels.shrink_first
    assert asked == (pixels.min_pixels, pixels.max_pixels, first.max_pixels, first.resample)
