"""HEIC, as telephones take pictures: a grid of HEVC tiles, which to FFmpeg are as many unrelated videos."""

from typing import Any

import pi_heif
from PIL import Image

from assay.errors import BadMedia
from gateway.decode.worker import heif
from gateway.decode.worker.budget import check_pixels
from gateway.decode.worker.header import ANIMATED, DAMAGED, SEVERAL
from gateway.decode.worker.icc import ColourTags

_OTHER_CODECS = {
    **{b"avc1": "H.264", b"jpeg": "JPEG", b"j2k1": "JPEG 2000", b"vvc1": "VVC (H.266)"},
    **{b"unci": "an uncompressed form", b"lhv1": "layers (L-HEVC)"},
}
_SEQUENCES = (b"msf1", b"hevc", b"hevx")
"""First brands of files that are shown as an animation."""
# libheif's decoder has a thread in any case; these would be further ones. What is not shown is not read.
pi_heif.options.DECODE_THREADS = 0
pi_heif.options.THUMBNAILS = pi_heif.options.DEPTH_IMAGES = pi_heif.options.AUX_IMAGES = False


def decode_heic(data: bytes, max_pixels: int, warnings: list[str]) -> tuple[Image.Image, ColourTags]:
    """The main picture, upright, as L, RGB or RGBA in its own colours. Raises `BadMedia`, `OverLimit`."""
    try:
        items = heif.items_of(data)
    except (KeyError, IndexError, BadMedia) as problem:
        raise BadMedia(DAMAGED.format("HEIC")) from problem
    if items.picture.kind in _OTHER_CODECS:
        raise BadMedia(
            f"this is a HEIF picture coded in {_OTHER_CODECS[items.picture.kind]}; export it as JPEG or HEIC"
        )
    if not heif.check_whole(items, len(data)):
        raise BadMedia(DAMAGED.format("HEIC"))
    try:
        file = pi_heif.open_heif(data)
        image = file[file.primary_index]
        width_px, height_px = image.size  # as the file says it; libheif refuses to decode another
        check_pixels(width_px * height_px, max_pixels)
        shown: Image.Image = image.to_pillow()
    except (ValueError, EOFError, SyntaxError, RuntimeError, OSError) as problem:
        raise BadMedia(DAMAGED.format("HEIC")) from problem
    if data[8:12] in _SEQUENCES:
        warnings.append(ANIMATED)
    elif len(file) > 1:
        warnings.append(SEVERAL)
    return shown, heif.colours_of(items, image.info.get("icc_profile", b""), _coded_colours(image.info))


def _coded_colours(info: dict[str, Any]) -> ColourTags:
    coded = info.get("nclx_profile") or {}
    return ColourTags(
        transfer=int(coded.get("transfer_characteristics", 0)), primaries=int(coded.get("color_primaries", 0))
    )
