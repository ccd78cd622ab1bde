"""Media that software gets wrong: turned, mirrored, in other ranges and colours, of odd sizes, starting elsewhere.

The same picture and clock as in tests/media/build.py, whose files belong to the corpus as well.
"""

import struct
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
from av.stream import Disposition
from av.video.reformatter import ColorRange, VideoReformatter
from PIL import Image

from tests.media import avif, cases, heic
from tests.media.build import RECIPES, _animation, _exif, _faststart, _in_file, _still, _transparent_png, media, picture
from tests.media.profile import DISPLAY_P3, ink_profile
from tests.media.tiff import Page, tiff

_TICK = Fraction(1, 12800)
_SIZE = 160, 120
_MATRICES = {
    "upright": (1, 0, 0, 1),
    "mirrored": (-1, 0, 0, 1),
    "turned_180": (-1, 0, 0, -1),
    "upside_down": (1, 0, 0, -1),
    "transposed": (0, 1, 1, 0),
    "turned_90": (0, 1, -1, 0),
    "transversed": (0, -1, -1, 0),
    "turned_270": (0, -1, 1, 0),
}
EXIF_CORNERS = ["top left", "top right", "bottom right", "bottom left"] * 2
"""Where the red block is to be observed for EXIF orientations 1 to 8."""
MATRIX_CORNERS = {
    **{"upright": "top left", "mirrored": "top right", "turned_180": "bottom right", "upside_down": "bottom left"},
    **{"transposed": "top left", "turned_90": "top right", "transversed": "bottom right", "turned_270": "bottom left"},
}


def _scaled(seconds: float, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(picture(seconds)).resize(size))


def _clip(
    container: str,
    codec: str,
    size: tuple[int, int] = _SIZE,
    pix_fmt: str = "yuv420p",
    start_seconds: float = 0.0,
    muxing: dict[str, str] | None = None,
    color_range: ColorRange | None = None,
    cover: bool = False,
    aspect: Fraction = Fraction(1),
    **options: str,
) -> bytes:
    """Two seconds at 10 frames per second."""

    def write(path: str) -> None:
        with av.open(path, "w", format=container, options=muxing) as out:
            stream = out.add_stream(codec, rate=10, options=options)
            assert isinstance(stream, av.VideoStream)
            (stream.width, stream.height), stream.pix_fmt, stream.time_base = size, pix_fmt, _TICK
            context = stream.codec_context
            context.time_base, context.thread_count, context.sample_aspect_ratio = _TICK, 1, aspect
            if color_range is not None:
                context.color_range = color_range
            picture_of_it = _cover(out) if cover else None
            for index in range(20):
                rgb = av.VideoFrame.from_ndarray(_scaled(index / 10, size), format="rgb24")
                frame = VideoReformatter().reformat(rgb, format=pix_fmt, dst_color_range=color_range)
                frame.pts, frame.time_base = round((start_seconds + index / 10) / _TICK), _TICK
                packets = stream.encode(frame)
                if picture_of_it is not None:
                    out.mux(picture_of_it)
                    picture_of_it = None
                out.mux(packets)
            out.mux(stream.encode(None))

    return _in_file(write)


def _cover(out: "av.container.OutputContainer") -> "av.Packet[av.VideoStream]":
    """A black picture next to the video, larger than it."""
    stream = out.add_stream("mjpeg", rate=1)
    assert isinstance(stream, av.VideoStream)
    stream.width, stream.height, stream.pix_fmt = 640, 640, "yuvj420p"
    stream.disposition = Disposition.attached_pic
    black = av.VideoFrame.from_ndarray(np.zeros((640, 640, 3), np.uint8), format="rgb24")
    frame = VideoReformatter().reformat(black, format="yuvj420p")
    frame.pts = 0
    return [*stream.encode(frame), *stream.encode(None)][0]


def _transparent(codec: str) -> bytes:
    """Two seconds of the picture whose right half is transparent, and black where nobody looks."""

    def write(path: str) -> None:
        with av.open(path, "w", format="webm") as out:
            stream = out.add_stream(codec, rate=10, options={"deadline": "realtime", "auto-alt-ref": "0"})
            assert isinstance(stream, av.VideoStream)
            (stream.width, stream.height), stream.pix_fmt = _SIZE, "yuva420p"
            stream.codec_context.thread_count = 1
            for index in range(20):
                observed = np.zeros((_SIZE[1], _SIZE[0], 4), np.uint8)
                observed[:, : _SIZE[0] // 2, :3] = _scaled(index / 10, _SIZE)[:, : _SIZE[0] // 2]
                observed[:, : _SIZE[0] // 2, 3] = 255
                frame = av.VideoFrame.from_ndarray(observed, format="rgba")
                out.mux(stream.encode(VideoReformatter().reformat(frame, format="yuva420p")))
            out.mux(stream.encode(None))

    return _in_file(write)


def _matrix(a: int, b: int, c: int, d: int) -> bytes:
    """Of a small file: x' = a x + c y, y' = b x + d y."""
    data = bytearray(_clip("mp4", "libx264", muxing={"movflags": "faststart"}, preset="ultrafast"))
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    return bytes(data)


def _edit_list() -> bytes:
    """Shown from 1 s on, as its edit list says."""
    data = bytearray(_faststart())
    at = data.index(b"elst") + 16
    media_time = int.from_bytes(data[at : at + 4], "big")
    data[at : at + 4] = struct.pack(">I", media_time + 12800)
    return bytes(data)


def _half_transparent() -> Image.Image:
    pixels = picture(2.0)
    opacity = np.zeros((*pixels.shape[:2], 1), np.uint8)
    opacity[:, ::2] = 200
    return Image.fromarray(np.concatenate([pixels, opacity], axis=2))


def _png_16_bit() -> bytes:
    grey = picture(2.0)[:, :, 1].astype(np.uint16) * 257
    return _still("png", Image.fromarray(grey))


_X265 = {"preset": "ultrafast"}
_BT2020 = "log-level=none:colorprim=bt2020:colormatrix=bt2020nc:transfer="

PICTURES: dict[str, Callable[[], bytes]] = {
    **{f"jpeg_exif_{n}.jpg": (lambda n=n: _still("jpeg", quality=90, exif=_exif(n))) for n in range(1, 9)},
    "webp_exif_6.webp": lambda: _still("webp", quality=90, exif=_exif(6)),
    "png_exif_8.png": lambda: _still("png", exif=_exif(8)),
    "tiff_exif_3.tiff": lambda: _still("tiff", exif=_exif(3)),
    "jpeg_odd_size.jpg": lambda: _still("jpeg", Image.fromarray(_scaled(2.0, (321, 241))), quality=90),
    "png_one_pixel.png": lambda: _still("png", Image.new("RGB", (1, 1), (100, 150, 200))),
    "png_16_bit.png": _png_16_bit,
    "png_grey_alpha.png": lambda: _still("png", Image.fromarray(picture(2.0)).convert("LA")),
    "png_interlaced_transparent.png": _transparent_png,
    "webp_transparent.webp": lambda: _still("webp", _half_transparent(), quality=90),
    "webp_lossless.webp": lambda: _still("webp", lossless=True),
    "jpeg_444.jpg": lambda: _still("jpeg", quality=95, subsampling=0),
    "jpeg_cmyk.jpg": lambda: _still("jpeg", Image.fromarray(picture(2.0)).convert("CMYK"), quality=90),
    "bmp_palette.bmp": lambda: _still("bmp", Image.fromarray(picture(2.0)).convert("P")),
    "tiff_lzw.tiff": lambda: _still("tiff", compression="tiff_lzw"),
    "avif_grid.avif": lambda: avif.grid(3, 2),
    "avif_grid_of_20.avif": lambda: avif.grid(5, 4),
    "avif_transparent_cropped_turned.avif": lambda: avif.single(
        avif.coded(picture(2.0)), avif.clap(240, 200), avif.irot(1), alpha=avif.coded(picture(4.0)[:, :, 1])
    ),
    "avif_hdr.avif": lambda: avif.single(avif.hdr(16, 573)),
    "avif_animated.avif": lambda: _animation("avif"),
    "png_profile.png": lambda: _still("png", icc_profile=DISPLAY_P3),
    "jpeg_profile.jpg": lambda: _still("jpeg", quality=90, icc_profile=DISPLAY_P3),
    "webp_profile.webp": lambda: _still("webp", quality=90, icc_profile=DISPLAY_P3),
    "avif_profile.avif": lambda: avif.single(avif.coded(picture(2.0)), avif.prof(DISPLAY_P3)),
    "jpeg_inks_with_profile.jpg": lambda: _still(
        "jpeg", Image.fromarray(picture(2.0)).convert("CMYK"), quality=90, icc_profile=ink_profile()
    ),
    "tiff_below_a_thumbnail.tiff": lambda: tiff(
        Page(picture()[::8, ::8].copy(), tags={254: 1, 34675: DISPLAY_P3}, below=[Page(picture(2.0), tile_px=80)])
    ),
    "tiff_16_bit_grey_tiles.tiff": lambda: tiff(
        Page(picture(2.0)[:, :, 1].astype(np.uint16) * 257, 0, tile_px=80), order=">"
    ),
    "tiff_big_lab.tiff": lambda: tiff(Page(np.asarray(Image.fromarray(picture(2.0)).convert("LAB")), 8), big=True),
    "camera_raw.tiff": lambda: tiff(
        Page(
            picture()[::8, ::8].copy(),
            tags={254: 1, 274: 6, 50706: bytes((1, 4, 0, 0))},
            below=[
                Page(np.zeros((240, 320), np.uint16), 32803),
                Page(_still("jpeg"), 6, tags={254: 1, 256: 320, 257: 240, 259: 7}),
            ],
        )
    ),
    "mpo.jpg": lambda: _still("mpo", save_all=True, append_images=[Image.fromarray(picture(4.0))], quality=90),
    "heic_grid.heic": heic.grid,
    "heic_grid_turned_90.heic": lambda: heic.grid(quarter_turns=1),
    "heic_grid_odd_size.heic": lambda: heic.grid(411, 300),
    "heic_grid_truncated.heic": lambda: heic.grid()[:-1],
}
VIDEOS: dict[str, Callable[[], bytes]] = {
    **{f"mp4_{name}.mp4": (lambda m=m: _matrix(*m)) for name, m in _MATRICES.items()},
    "mp4_full_range.mp4": lambda: _clip("mp4", "libx264", color_range=ColorRange.JPEG, preset="ultrafast"),
    "mp4_limited_range.mp4": lambda: _clip("mp4", "libx264", color_range=ColorRange.MPEG, preset="ultrafast"),
    "mp4_10_bit.mp4": lambda: _clip("mp4", "libx264", pix_fmt="yuv420p10le", preset="ultrafast"),
    "mp4_444.mp4": lambda: _clip("mp4", "libx264", pix_fmt="yuv444p", preset="ultrafast"),
    "mp4_hevc_10_bit.mp4": lambda: _clip(
        "mp4", "libx265", pix_fmt="yuv420p10le", **_X265, **{"x265-params": "log-level=none"}
    ),
    "mp4_hdr10.mp4": lambda: _clip(
        "mp4", "libx265", pix_fmt="yuv420p10le", **_X265, **{"x265-params": _BT2020 + "smpte2084"}
    ),
    "mp4_hlg.mp4": lambda: _clip(
        "mp4", "libx265", pix_fmt="yuv420p10le", **_X265, **{"x265-params": _BT2020 + "arib-std-b67"}
    ),
    "mp4_odd_size.mp4": lambda: _clip("mp4", "libx264", (161, 121), "yuv444p", preset="ultrafast"),
    "webm_odd_size.webm": lambda: _clip("webm", "libvpx-vp9", (161, 121), deadline="realtime"),
    "webm_vp9_alpha.webm": lambda: _transparent("libvpx-vp9"),
    "webm_vp8_alpha.webm": lambda: _transparent("libvpx"),
    "webm_vp8.webm": lambda: _clip("webm", "libvpx", deadline="realtime"),
    "mp4_narrow_pixels.mp4": lambda: _clip("mp4", "libx264", aspect=Fraction(1, 2), preset="ultrafast"),
    "mp4_edit_list.mp4": _edit_list,
    "mp4_negative_times.mp4": lambda: _clip("mp4", "libx264", muxing={"movflags": "negative_cts_offsets"}, bf="2"),
    "mkv_starts_late.mkv": lambda: _clip("matroska", "libx264", start_seconds=100.0, preset="ultrafast"),
    "mpegts_starts_late.ts": lambda: _clip("mpegts", "libx264", start_seconds=5000.0, preset="ultrafast"),
    "mp4_with_cover.mp4": lambda: _clip("mp4", "libx264", cover=True, preset="ultrafast"),
    "mp4_mpeg4.mp4": lambda: _clip("mp4", "mpeg4"),
}
_BUILT_PICTURES = ("jpg", "png", "webp", "gif", "bmp", "tiff", "avif", "heic", "bin")
_CASES_OF_VIDEO = ("mp4", "mkv", "ts", "mts")
_OLD = [name for name in RECIPES if "small" not in name]
CORPUS: dict[str, bool] = {
    **dict.fromkeys([*PICTURES, *(name for name in _OLD if name.endswith(_BUILT_PICTURES))], False),
    **dict.fromkeys([*VIDEOS, *(name for name in _OLD if not name.endswith(_BUILT_PICTURES))], True),
    **{name: name.endswith(_CASES_OF_VIDEO) for name in cases.NAMES},
    **dict.fromkeys([name for name in RECIPES if name.startswith(("avi_", "mov_small", "mpegps_"))], True),
}
"""Name of each file, and whether it goes to the video call."""


def content(name: str) -> bytes:
    """Of a file of the corpus."""
    if name in cases.NAMES:
        return cases.case(name)
    recipe = PICTURES.get(name) or VIDEOS.get(name)
    return recipe() if recipe else media(name).read_bytes()
