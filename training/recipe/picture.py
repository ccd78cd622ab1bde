"""Picture: from a file to the frame that the model sees, by one of two paths."""

from math import sqrt
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from assay.frame import Clip, Frame
from training.recipe.settings import PictureSettings


def read_picture(path: Path, chosen: PictureSettings, factor_px: int = 28) -> Clip:
    """One frame whose sides are multiples of factor_px. ValueError names a file that is no picture."""
    try:
        with Image.open(path) as opened:
            picture = _rgb(path, ImageOps.exif_transpose(opened))
    except OSError as unreadable:
        raise ValueError(f"{path} cannot be read as a picture: {unreadable}") from unreadable
    if chosen.shrink_first:
        picture = shrunk(picture, chosen.shrink_to_px)
    height, width = smart_resize(picture.height, picture.width, factor_px, chosen.min_pixels, chosen.max_pixels)
    resized = picture.resize((width, height), Image.Resampling.BICUBIC)
    return Clip((Frame(np.ascontiguousarray(np.asarray(resized, dtype=np.uint8))),), is_video=False)


def _rgb(path: Path, picture: Image.Image) -> Image.Image:
    """As the gateway's decode worker shows it to the same model: what is transparent is white, and of 16 bits the
    upper 8 are used. Pillow's own conversion shows what lies under the transparency, and cuts 16 bits off at 255."""
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if picture.mode in ("I", "F"):
        raise ValueError(f"{path} has pixels of 32 bits, whose white is not known; convert it to 8 bits")
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    return picture.convert("RGB")


def shrunk(picture: Image.Image, side_px: int) -> Image.Image:
    """At most side_px ** 2 pixels, same aspect, without any filter: what the authors' trainer does before all else.

    NEAREST aliases fine structure; a model trained on it wants it at inference, too.
    """
    area = picture.width * picture.height
    if area <= side_px**2:
        return picture
    factor = sqrt(side_px**2 / area)
    size = max(1, int(picture.width * factor)), max(1, int(picture.height * factor))
    return picture.resize(size, Image.Resampling.NEAREST)
