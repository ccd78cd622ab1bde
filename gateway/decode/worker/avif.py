"""AVIF by libavif, which Pillow brings: grids of tiles and transparency are its business, size and cropping ours."""

import io
import itertools
from collections.abc import Iterator

import av
import numpy as np
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Image

from assay.errors import BadMedia, OverLimit
from gateway.decode.spec import DecodeLimits
from gateway.decode.worker import heif, mp4
from gateway.decode.worker.budget import PADDING_PX, check_pixels
from gateway.decode.worker.colour import is_hdr
from gateway.decode.worker.container import open_container
from gateway.decode.worker.header import ANIMATED, DAMAGED, orientation_in
from gateway.decode.worker.icc import ColourTags
from gateway.decode.worker.presentation import clean_aperture
from gateway.decode.worker.reader import SpooledFile
from gateway.decode.worker.resize import PRECISE, Orientation

_HAS_EXTENSION, _HAS_SIZE = 4, 2
"""Bits of an OBU's header."""
_MOST_UNITS = 1024
"""OBUs of one picture whose headers are read; encoders write from three to some dozens."""
AvifImagePlugin.DEFAULT_MAX_THREADS = 1


def decode_avif(data: bytes, limits: DecodeLimits, warnings: list[str]) -> tuple[Image.Image, Orientation, ColourTags]:
    """The picture as stored but cropped, in its own colours; how it is to be turned; what its colours are.

    Of an animation the first frame. Raises `BadMedia`, `OverLimit`.
    """
    try:
        items = heif.items_of(data)
    except KeyError:
        items = heif.Items()  # an animation need not have any
    except (IndexError, BadMedia) as problem:
        raise BadMedia(DAMAGED.format("AVIF")) from problem
    if not heif.check_whole(items, len(data)):
        raise BadMedia(DAMAGED.format("AVIF"))
    try:
        samples = _samples(data, items, limits)
        coded = [_coded_tags(sample, limits) for sample in samples]
        with Image.open(io.BytesIO(_with_known_brand(data)), formats=["AVIF"]) as image:
            check_pixels(image.width * image.height, limits.max_image_pixels)
            warnings += [ANIMATED] if getattr(image, "is_animated", False) else []
            tags = heif.colours_of(items, image.info.get("icc_profile", b""), coded[0])
            orientation = orientation_in(image.info.get("exif", b""))
            shown = _precise(image, samples[: _tile_count(items)], limits) if is_hdr(tags.transfer) else image
            return _cropped(shown, items.picture.property(b"clap")), orientation, tags
    except MemoryError:
        raise  # some are FFmpeg's
    except (ValueError, SyntaxError, OSError, RuntimeError, IndexError, FFmpegError, StopIteration) as problem:
        raise BadMedia(DAMAGED.format("AVIF")) from problem


def _with_known_brand(data: bytes) -> bytes:
    """Pillow looks at the first brand only, which may be that of a profile."""
    known = (b"avif", b"avis", b"mif1", b"msf1")
    return data if data[8:12] in known else data[:8] + b"avif" + data[12:]


def _samples(data: bytes, items: heif.Items, limits: DecodeLimits) -> list[bytes]:
    """AV1 data of the picture or of its tiles in order, and then of its transparency. Raises `OverLimit` where they are
    the same bytes again and again."""
    pictures = [item for item in items.coded() if item.kind == b"av01"]
    total_bytes = sum(size for item in pictures for _, size in item.extents)
    if total_bytes > limits.max_read_ratio * len(data) + 65536:
        raise OverLimit(
            f"the picture shows the same bytes again and again: {total_bytes} bytes out of a file of {len(data)}, the "
            f"limit is {limits.max_read_ratio:g} times; export it again"
        )
    still = [b"".join(data[start : start + size] for start, size in item.extents) for item in pictures]
    samples = _first_frames(data, limits) + still
    if not samples:
        raise ValueError("the file names no AV1 picture")
    return samples


def _tile_count(items: heif.Items) -> int:
    return len(items.tiles) if items.picture.kind == b"grid" else 1


def _precise(image: Image.Image, tiles: list[bytes], limits: DecodeLimits) -> Image.Image:
    """Of HDR, by FFmpeg: libavif cuts 10 bits off to 8 where its scaler rounds, which is a third of a grey level on
    average, and HDR spreads its darks over few of them."""
    parts = [_rgb(tile, limits) for tile in tiles]
    height, width, _ = parts[0].shape
    columns, rows = -(-image.width // width), -(-image.height // height)
    if columns * rows != len(parts):
        raise ValueError(f"{len(parts)} tiles of {width} x {height} for a picture of {image.size}")
    whole = np.empty((rows * height, columns * width, 3), np.uint8)
    for number, part in enumerate(parts):
        y, x = number // columns * height, number % columns * width
        whole[y : y + height, x : x + width] = part
    shown = Image.fromarray(whole[: image.height, : image.width])
    if image.has_transparency_data:
        shown.putalpha(image.getchannel("A"))
    return shown


def _rgb(sample: bytes, limits: DecodeLimits) -> NDArray[np.uint8]:
    context = av.CodecContext.create("libdav1d", "r")
    assert isinstance(context, VideoCodecContext)
    context.thread_count = 1
    context.options = {"max_pixels": str(limits.max_image_pixels + PADDING_PX), "err_detect": "explode"}
    frame = next(iter(context.decode(av.Packet(sample)) or context.decode(None)))
    whole = VideoReformatter().reformat(frame, format="rgb24", interpolation=PRECISE, threads=1)
    return np.asarray(whole.to_ndarray(), np.uint8)


def _coded_tags(sample: bytes, limits: DecodeLimits) -> ColourTags:
    """FFmpeg's parser reads the headers of AV1 and decodes nothing."""
    context = av.CodecContext.create("libdav1d", "r")
    assert isinstance(context, VideoCodecContext)
    for unit in itertools.islice(_units(memoryview(sample)), _MOST_UNITS):
        context.width = context.height = 0  # set anew by each header of a frame
        context.parse(bytes(unit))
        check_pixels(context.width * context.height, limits.max_image_pixels)
    return ColourTags(transfer=context.color_trc, primaries=context.color_primaries)


def _units(rest: memoryview) -> Iterator[memoryview]:
    """OBUs of a sample (AV1 specification, 5.3)."""
    while len(rest) >= 2:
        at, size = 1 + bool(rest[0] & _HAS_EXTENSION), len(rest)
        if rest[0] & _HAS_SIZE:
            size, shift, is_last = 0, 0, False
            while not is_last and at < min(len(rest), 10):
                size |= (rest[at] & 0x7F) << shift
                is_last, at, shift = rest[at] < 0x80, at + 1, shift + 7
            size += at
        yield rest[:size]
        rest = rest[size:]


def _first_frames(data: bytes, limits: DecodeLimits) -> list[bytes]:
    """Of the tracks of an animation, of which libavif shows the first frame."""
    if data[8:12] != b"avis":
        return []
    start, end = mp4.index_of(lambda start, size: data[start : start + size], len(data))
    mp4.check_index(data[start:end], limits)
    with open_container(SpooledFile(data, len(data)), "avif", limits.max_image_pixels, limits.max_streams) as media:
        return [bytes(packet) for stream in media.streams.video if (packet := next(media.demux(stream), None))]


def _cropped(image: Image.Image, aperture: memoryview) -> Image.Image:
    """To the clean aperture, which libavif leaves to its caller; one that makes no sense is none."""
    image.load()
    crop = clean_aperture(aperture, image.width, image.height)
    box = crop.left_px, crop.top_px, image.width - crop.right_px, image.height - crop.bottom_px
    return image.crop(box) if crop else image.copy()
