"""Bytes of a still picture become one frame."""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import av
import numpy as np
import pi_heif
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from PIL import Image, ImageFile

from assay.errors import BadMedia
from assay.frame import Frame
from gateway.decode.spec import DecodeLimits, DecodeSpec, DecodeSummary, MediaInfo
from gateway.decode.worker import colour, heif, icc, raw, tiff
from gateway.decode.worker.avif import decode_avif
from gateway.decode.worker.borders import inside
from gateway.decode.worker.budget import PADDING_PX, check_pixels
from gateway.decode.worker.header import ANIMATED, DAMAGED, SEVERAL, Header, plain_png, read_header
from gateway.decode.worker.icc import ColourTags
from gateway.decode.worker.reader import UploadReader
from gateway.decode.worker.resize import PRECISE, Orientation, resize_picture

Pixels = NDArray[np.uint8]

_DECODER = {"jpeg": "mjpeg", "png": "png", "webp": "webp", "bmp": "bmp"}
_CODEC = {"avif": "av1", "heic": "hevc", **_DECODER}
_TRANSPARENT = "transparent parts of the picture were judged as they look on white"

_RARE = (
    "the picture is a JPEG of a rare kind ({}), which cannot be decoded, or is damaged; export it as an ordinary JPEG"
)
_OTHER_CODECS = {
    **{b"avc1": "H.264", b"jpeg": "JPEG", b"j2k1": "JPEG 2000", b"vvc1": "VVC (H.266)"},
    **{b"unci": "an uncompressed form", b"lhv1": "layers (L-HEVC)"},
}
_SEQUENCES = (b"msf1", b"hevc", b"hevx")
"""First brands of files that are shown as an animation."""
# libheif's decoder has a thread in any case; these would be further ones. What is not shown is not read.
pi_heif.options.DECODE_THREADS = 0
pi_heif.options.THUMBNAILS = pi_heif.options.DEPTH_IMAGES = pi_heif.options.AUX_IMAGES = False


@dataclass(frozen=True, slots=True)
class _Decoded:
    """A picture in full size."""

    picture: Image.Image
    """L, LA, RGB, RGBA, CMYK or LAB."""
    orientation: Orientation
    """How it is still to be turned."""
    colours: ColourTags


def decode_still(upload: UploadReader, container: str, spec: DecodeSpec) -> Iterator[MediaInfo | Frame | DecodeSummary]:
    """`MediaInfo`, one `Frame`, `DecodeSummary`. Raises `BadMedia`, `OverLimit`, or anything of a decoder's."""
    data = upload.read_all()
    warnings: list[str] = []
    decoded = _decode(data, container, spec.limits, warnings)
    picture, colours = icc.flat(decoded.picture, decoded.colours, warnings)
    shown = Image.fromarray(decoded.orientation.upright(_on_white(picture, colours, warnings)))
    judged = inside(shown, warnings) if spec.target.leave_out_borders else shown
    yield MediaInfo(False, container, _CODEC.get(container, container), width_px=shown.width, height_px=shown.height)
    yield Frame(icc.to_srgb(resize_picture(judged, spec.target), colours, warnings))
    yield DecodeSummary(
        duration_seconds=0.0, frames_decoded=1, frames_corrupt=0, frames_sampled=1, warnings=tuple(warnings)
    )


def _decode(data: bytes, container: str, limits: DecodeLimits, warnings: list[str]) -> _Decoded:
    if container == "avif":
        return _Decoded(*decode_avif(data, limits, warnings))
    if container == "heic":
        picture, colours = decode_heic(data, limits.max_image_pixels, warnings)
        return _Decoded(picture, Orientation(), colours)
    if container == "tiff":
        return _decode_tiff(data, limits, warnings)
    return _decode_plain(data, container, read_header(data, container), limits, warnings)


def _decode_tiff(data: bytes, limits: DecodeLimits, warnings: list[str]) -> _Decoded:
    try:
        chain = tiff.directories_of(data)
        camera = raw.name_of(chain)
    except (ValueError, IndexError, struct.error) as problem:
        raise BadMedia(DAMAGED.format("TIFF")) from problem
    if not camera:
        return _Decoded(*tiff.decode_tiff(chain, limits.max_image_pixels, warnings))
    jpeg, header = raw.full_size_preview(chain, camera)
    warnings.append(raw.shown(camera))
    preview = _decode_plain(jpeg, "jpeg", replace(header, note=""), limits, warnings)
    is_turned = header.orientation != Orientation()
    return preview if is_turned else replace(preview, orientation=raw.orientation_of(chain))


def _decode_plain(data: bytes, container: str, header: Header, limits: DecodeLimits, warnings: list[str]) -> _Decoded:
    """JPEG, PNG, WebP, GIF or BMP."""
    check_pixels(header.pixels, limits.max_image_pixels)
    warnings += [header.note] if header.note else []
    # FFmpeg 8.1 decodes no animated WebP and no arithmetic JPEG, hands out half a GIF as if it were whole, where Pillow
    # refuses it, and mixes inks without asking their profile.
    by_pillow = (
        container == "gif"
        or (container == "webp" and header.note == ANIMATED)
        or header.variant == "arithmetic"
        or (header.mode == "CMYK" and header.colours.space == "CMYK")
    )
    try:
        picture = (_by_pillow if by_pillow else _by_ffmpeg)(data, container, limits.max_image_pixels)
    except MemoryError:
        raise  # some are FFmpeg's
    except (FFmpegError, OSError, SyntaxError, ValueError) as problem:
        raise BadMedia(
            _RARE.format(header.variant) if header.variant else DAMAGED.format(container.upper())
        ) from problem
    return _Decoded(picture, header.orientation, header.colours)


def _by_ffmpeg(data: bytes, container: str, max_pixels: int) -> Image.Image:
    """The whole file as one packet: no demuxer, no probing. RGB or RGBA in full resolution."""
    context = av.CodecContext.create(_DECODER[container], "r")
    assert isinstance(context, VideoCodecContext)
    context.thread_count = 1
    # Without `explode` a JPEG that ends in the middle comes out grey at the bottom, and nothing says so.
    context.options = {"max_pixels": str(max_pixels + PADDING_PX), "err_detect": "crccheck+bitstream+buffer+explode"}
    frames = context.decode(av.Packet(plain_png(data) if container == "png" else data)) or context.decode(None)
    if not frames or frames[0].is_corrupt:
        raise ValueError("FFmpeg gave out no sound frame")
    return _rgb(frames[0])


def _rgb(frame: VideoFrame) -> Image.Image:
    has_alpha = frame.format.name == "pal8" or any(part.is_alpha for part in frame.format.components)
    whole = VideoReformatter().reformat(
        frame, format="rgba" if has_alpha else "rgb24", interpolation=PRECISE, threads=1
    )
    return Image.fromarray(whole.to_ndarray())


def _by_pillow(data: bytes, container: str, max_pixels: int) -> Image.Image:
    """First picture of an animation."""
    with Image.open(io.BytesIO(data), formats=[container.upper()]) as image:
        check_pixels(image.width * image.height, max_pixels)  # a header that says two sizes may be read in two ways
        # Pillow gives out 64 KiB at a time; libjpeg's arithmetic decoder cannot wait for more.
        image.decodermaxblock = max(len(data), ImageFile.MAXBLOCK)
        image.load()
        return image.copy() if image.mode in ("CMYK", "L", "RGB") else image.convert("RGBA")


def _on_white(picture: Image.Image, colours: ColourTags, warnings: list[str]) -> Pixels:
    """L, LA, RGB or RGBA -> (height, width, 3) RGB, of HDR what an SDR screen shows, on white where it is transparent;
    says so where that made a difference."""
    has_alpha = picture.mode in ("LA", "RGBA", "La", "RGBa")
    if picture.mode in ("La", "RGBa"):
        picture = picture.convert(picture.mode.upper())
    pixels: Any = np.asarray(picture.convert("RGBA" if has_alpha else "RGB"))
    pixels = colour.to_sdr(pixels, *icc.hdr_of(colours))
    if not has_alpha:
        return np.asarray(pixels)
    if int(pixels[:, :, 3].min()) < 255:
        warnings.append(_TRANSPARENT)
    shown = Image.fromarray(pixels)
    white = Image.new("RGBA", shown.size, "white")
    return np.asarray(Image.alpha_composite(white, shown).convert("RGB"))


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
