"""Bytes of a still picture become one frame."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from PIL import Image

from assay.errors import BadMedia, OverLimit
from assay.frame import Frame
from gateway.decode_spec import DecodeSpec, DecodeSummary, MediaInfo
from gateway.decode_worker import colour
from gateway.decode_worker.budget import too_many_pixels
from gateway.decode_worker.heic import decode_heic
from gateway.decode_worker.reader import Spool, Upload
from gateway.decode_worker.resize import PRECISE, Orientation, from_exif, orientation_of, resize_picture
from gateway.decode_worker.video import open_container, prepare, video_stream

Pixels = NDArray[np.uint8]

_DECODER = {"jpeg": "mjpeg", "png": "png", "webp": "webp", "bmp": "bmp", "tiff": "tiff"}
_EXIF_ORIENTATION = 0x0112
_TRANSPARENT = "transparent parts of the picture were judged as they look on white"
_ANIMATED = "the picture is an animation, of which only the first frame was judged; send a video to have all judged"
_DAMAGED = "the {} picture is damaged or cut off; send an intact copy"


@dataclass(frozen=True, slots=True)
class _Header:
    width_px: int
    height_px: int
    orientation: Orientation
    is_animated: bool


def decode_still(upload: Upload, container: str, spec: DecodeSpec) -> Iterator[MediaInfo | Frame | DecodeSummary]:
    """`MediaInfo`, one `Frame`, `DecodeSummary`. Raises `BadMedia`, `OverLimit`, or anything of a decoder's."""
    data = upload.read_all()
    limit = spec.limits.max_image_pixels
    warnings: list[str] = []
    if container == "avif":
        codec, picture = "av1", _decode_avif(data, limit, warnings)
    elif container == "heic":
        codec, picture = "hevc", _over_white(decode_heic(data, limit), warnings)
    else:
        header = _read_header(data, container)
        if header.width_px * header.height_px > limit:
            raise OverLimit(too_many_pixels(header.width_px * header.height_px, limit))
        codec = _DECODER.get(container, container)
        # FFmpeg 8.1 decodes no animated WebP, and hands out half a GIF as if it were whole; Pillow refuses that.
        by_pillow = container == "gif" or header.is_animated
        if container == "tiff":
            picture = _decode_tiff(data, header, limit, warnings)
        elif by_pillow:
            picture = header.orientation.upright(_decode_by_pillow(data, container, warnings))
        else:
            picture = header.orientation.upright(_decode(data, container, limit, warnings))
        if header.is_animated:
            warnings.append(_ANIMATED)
    shown = Image.fromarray(picture)
    yield MediaInfo(False, container, codec, width_px=shown.width, height_px=shown.height)
    yield Frame(resize_picture(shown, spec.target))
    yield DecodeSummary(
        duration_seconds=0.0, frames_decoded=1, frames_corrupt=0, frames_sampled=1, warnings=tuple(warnings)
    )


def _read_header(data: bytes, container: str) -> _Header:
    """Size and orientation; Pillow parses the header and does not decode."""
    try:
        with Image.open(io.BytesIO(data), formats=[container.upper()]) as image:
            exif = Image.Exif()
            if container == "tiff":
                exif = image.getexif()
            elif raw := image.info.get("exif"):
                exif.load(raw)
            orientation = from_exif(exif.get(_EXIF_ORIENTATION))
            return _Header(image.width, image.height, orientation, bool(getattr(image, "is_animated", False)))
    except Exception as problem:  # Pillow has no common root for what a broken file makes it raise
        raise BadMedia(_DAMAGED.format(container.upper())) from problem


def _decode(data: bytes, container: str, max_pixels: int, warnings: list[str]) -> Pixels:
    """The whole file as one packet: no demuxer, no probing. Returns (height, width, 3) RGB as stored."""
    context = av.CodecContext.create(_DECODER[container], "r")
    assert isinstance(context, VideoCodecContext)
    context.thread_count = 1
    # Without `explode` a JPEG that ends in the middle comes out grey at the bottom, and nothing says so.
    context.options = {"max_pixels": str(max_pixels), "err_detect": "crccheck+bitstream+buffer+explode"}
    frames = context.decode(av.Packet(data)) or context.decode(None)
    return _rgb(frames, container, warnings)


def _decode_avif(data: bytes, max_pixels: int, warnings: list[str]) -> Pixels:
    """Returns (height, width, 3) RGB, upright: AVIF says its orientation in the container."""
    with open_container(Spool(data, len(data)), "avif", max_pixels, max_streams=16) as media:
        stream = video_stream(media)
        prepare(stream, max_pixels, err_detect="crccheck+bitstream+buffer+explode")
        frame = next(media.decode(stream), None)
        pixels = _rgb([frame] if frame else [], "avif", warnings)
        return orientation_of(frame).upright(pixels) if frame else pixels


def _rgb(frames: list[VideoFrame], container: str, warnings: list[str]) -> Pixels:
    """Full resolution RGB of the first frame; what is transparent shows white."""
    if not frames or frames[0].is_corrupt:
        raise BadMedia(_DAMAGED.format(container.upper()))
    frame = frames[0]
    has_alpha = frame.format.name == "pal8" or any(part.is_alpha for part in frame.format.components)
    whole = VideoReformatter().reformat(
        frame, format="rgba" if has_alpha else "rgb24", interpolation=PRECISE, threads=1
    )
    pixels: Any = colour.to_sdr(whole.to_ndarray(), frame.color_trc, frame.color_primaries)
    return _over_white(Image.fromarray(pixels), warnings) if has_alpha else pixels


def _decode_tiff(data: bytes, header: _Header, max_pixels: int, warnings: list[str]) -> Pixels:
    """Upright RGB. FFmpeg 8.1 refuses a TIFF with EXIF; Pillow takes it and turns it by itself."""
    try:
        return header.orientation.upright(_decode(data, "tiff", max_pixels, warnings))
    except FFmpegError:
        return _decode_by_pillow(data, "tiff", warnings)


def _decode_by_pillow(data: bytes, container: str, warnings: list[str]) -> Pixels:
    """First picture of an animation; its pixels were counted before."""
    with Image.open(io.BytesIO(data), formats=[container.upper()]) as image:
        return _over_white(image.convert("RGBA"), warnings)


def _over_white(picture: Image.Image, warnings: list[str]) -> Pixels:
    """RGB or RGBA -> (height, width, 3) RGB; says so where it made a difference."""
    if picture.mode == "RGB":
        return np.asarray(picture)
    if int(np.asarray(picture.getchannel("A")).min()) < 255:
        warnings.append(_TRANSPARENT)
    white = Image.new("RGBA", picture.size, "white")
    return np.asarray(Image.alpha_composite(white, picture).convert("RGB"))
