"""`media("mp4_truncated_moov.mp4")` is the path of a small file with just that defect, made when first asked for.

The picture is 320 x 240: a grey that says the time (level 40 + 20 per second), a red block in the top left corner
that says which way is up, and noise so that the files have some weight. Videos last 4 s at 25 frames per second.
"""

import hashlib
import io
import os
import struct
import tempfile
import zlib
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDTH_PX, HEIGHT_PX = 320, 240
SECONDS, FRAMES_PER_SECOND = 4, 25
_TICK = Fraction(1, 12800)


def media(name: str) -> Path:
    """Path of the file; raises `KeyError` for a name that has no recipe."""
    recipe = RECIPES[name]
    version = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    path = Path(tempfile.gettempdir()) / f"assay-test-media-{os.getuid()}-{version}" / name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_bytes(recipe())
        fresh.replace(path)  # who runs next to us sees the whole file or none
    return path


def level_at(seconds: float) -> float:
    """Grey level of the picture shown at that time."""
    return 40 + 20 * seconds


def picture(seconds: float = 0.0, seed: int = 0) -> NDArray[np.uint8]:
    """(240, 320, 3) uint8 RGB."""
    noise = np.random.default_rng(seed).integers(-12, 13, (HEIGHT_PX, WIDTH_PX, 1))
    pixels = np.repeat(np.clip(level_at(seconds) + noise, 0, 255), 3, axis=2).astype(np.uint8)
    pixels[:80, :80] = (220, 20, 20)
    return pixels


def _still(format_name: str, image: Image.Image | None = None, **options: object) -> bytes:
    target = io.BytesIO()
    (image or Image.fromarray(picture(2.0))).save(target, format_name, **options)
    return target.getvalue()


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def _animation(format_name: str) -> bytes:
    frames = [Image.fromarray(picture(s)) for s in (2.0, 3.0, 4.0)]
    return _still(format_name, frames[0], save_all=True, append_images=frames[1:], duration=100)


def _transparent_png() -> bytes:
    pixels = np.dstack([picture(2.0), np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)])
    return _still("png", Image.fromarray(pixels))


def _in_file(write: Callable[[str], None]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "media"
        write(str(path))
        return path.read_bytes()


def _encode(
    container: str,
    codec: str,
    times: Sequence[float],
    options: dict[str, str],
    pixel_aspect: Fraction = Fraction(1),
) -> bytes:
    def write(path: str) -> None:
        with av.open(path, "w", format=container) as out:
            stream = out.add_stream(codec, rate=FRAMES_PER_SECOND, options=options)
            assert isinstance(stream, av.VideoStream)
            stream.height, stream.width = HEIGHT_PX, WIDTH_PX
            stream.pix_fmt, stream.time_base = "yuv420p", _TICK
            stream.codec_context.time_base = _TICK
            stream.codec_context.sample_aspect_ratio = pixel_aspect
            stream.codec_context.thread_count = 1
            for index, seconds in enumerate(times):
                frame = av.VideoFrame.from_ndarray(picture(seconds, seed=index), format="rgb24")
                frame.pts, frame.time_base = round(seconds / _TICK), _TICK
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))

    return _in_file(write)


_EVEN = [i / FRAMES_PER_SECOND for i in range(SECONDS * FRAMES_PER_SECOND)]
_UNEVEN = [0.0, 0.02, 0.04, 0.5, 0.52, 1.9, 2.0, 2.01, 2.02, 2.03, 3.5, 3.96]
_FAST = {"preset": "ultrafast", "crf": "23", "g": "25"}


@cache
def _h264() -> bytes:
    return _encode("mp4", "libx264", _EVEN, {"preset": "veryfast", "crf": "23", "g": "25"})


@cache
def large_video(seconds: int = 6, preset: str = "veryfast") -> bytes:
    """1920 x 1080 H.264 at about 8 Mbit/s, faststart: something that takes a while to decode."""
    wide = np.asarray(Image.fromarray(picture()).resize((1920, 1080)))

    def write(path: str) -> None:
        with av.open(path, "w", format="mp4", options={"movflags": "faststart"}) as out:
            stream = out.add_stream("libx264", rate=FRAMES_PER_SECOND, options={"preset": preset, "g": "50"})
            assert isinstance(stream, av.VideoStream)
            stream.height, stream.width, stream.pix_fmt, stream.bit_rate = 1080, 1920, "yuv420p", 8_000_000
            stream.codec_context.thread_count = 2
            noise = np.random.default_rng(0).integers(0, 24, (1080, 2400, 1), dtype=np.uint8)
            for index in range(seconds * FRAMES_PER_SECOND):
                shifted = np.roll(wide, 4 * index, axis=1) // 2 + 40
                grain = np.roll(noise, 97 * index, axis=1)[:, :1920]
                out.mux(stream.encode(av.VideoFrame.from_ndarray(shifted + grain, format="rgb24")))
            out.mux(stream.encode(None))

    return _in_file(write)


def _remux(container: str, options: dict[str, str] | None = None, *, sound: bool = False) -> bytes:
    """The same H.264 stream in another container."""

    def write(path: str) -> None:
        with av.open(io.BytesIO(_h264()), "r") as source, av.open(path, "w", format=container, options=options) as out:
            video = out.add_stream_from_template(source.streams.video[0])
            audio = out.add_stream("aac", rate=48000) if sound else None
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = video
                    out.mux(packet)
            if audio is not None:
                out.mux([*_tone(audio), *audio.encode(None)])

    return _in_file(write)


def _tone(audio: av.AudioStream) -> "list[av.Packet[av.AudioStream]]":
    packets = []
    for i in range(SECONDS * 48000 // 1024):
        wave = (0.1 * np.sin(np.arange(i * 1024, (i + 1) * 1024) / 48000 * 440 * 2 * np.pi)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 48000, i * 1024
        packets += audio.encode(frame)
    return packets


def _small(
    container: str,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = (64, 48),
    frames: int = 10,
    **options: str,
) -> bytes:
    """Ten frames of 64 x 48: what can be damaged and decoded thousands of times."""
    tiny = np.asarray(Image.fromarray(picture(2.0)).resize(size))

    def write(path: str) -> None:
        muxing = {"movflags": options.pop("movflags")} if "movflags" in options else None
        with av.open(path, "w", format=container, options=muxing) as out:
            stream = out.add_stream(codec, rate=FRAMES_PER_SECOND, options=options)
            assert isinstance(stream, av.VideoStream)
            (stream.width, stream.height), stream.pix_fmt = size, pix_fmt
            stream.codec_context.thread_count = 1
            for index in range(frames):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(tiny, index, axis=1), format="rgb24")))
            out.mux(stream.encode(None))

    return _in_file(write)


def _audio_only(container: str, codec: str) -> bytes:
    def write(path: str) -> None:
        with av.open(path, "w", format=container) as out:
            audio = out.add_stream(codec, rate=48000)
            assert isinstance(audio, av.AudioStream)
            out.mux([*_tone(audio), *audio.encode(None)])

    return _in_file(write)


def _faststart() -> bytes:
    return _remux("mp4", {"movflags": "faststart"})


def _fragmented() -> bytes:
    return _remux("mp4", {"movflags": "frag_keyframe+empty_moov+default_base_moof"})


def _display_matrix(a: int, b: int, c: int, d: int) -> bytes:
    """The faststart file whose track header says x' = a x + c y, y' = b x + d y."""
    data = bytearray(_faststart())
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    return bytes(data)


def _cut_in_moov() -> bytes:
    data = _faststart()
    return data[: data.index(b"stsz") + 40]


def _without_moov() -> bytes:
    data = _remux("mp4")
    return data[: data.index(b"moov") - 4]


def _sample_bomb() -> bytes:
    """The time table claims 80 million samples in one entry, of one size, without a table of sizes."""
    data = bytearray(_faststart())
    at = data.index(b"stts") + 4
    data[at + 4 : at + 16] = struct.pack(">3I", 1, 80_000_000, 512)
    at = data.index(b"stsz") + 4
    data[at + 4 : at + 12] = struct.pack(">2I", 100, 80_000_000)
    return bytes(data)


def _table_larger_than_file() -> bytes:
    data = bytearray(_faststart())
    at = data.index(b"stsz") + 4
    data[at + 8 : at + 12] = struct.pack(">I", 1_900_000)
    return bytes(data)


def _zero_frames() -> bytes:
    """A fragmented file that ends before its first fragment: a video track and nothing in it."""
    data = _fragmented()
    return data[: data.index(b"moof") - 4]


def _huge_png() -> bytes:
    """A header that claims 20,000 x 20,000 pixels."""
    data = bytearray(_still("png"))
    data[16:24] = struct.pack(">2I", 20_000, 20_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def _damaged(data: bytes, share: float, seed: int = 7) -> bytes:
    """Overwrite that share of the bytes behind the first 10,000."""
    random = np.random.default_rng(seed)
    noisy = np.frombuffer(data, np.uint8).copy()
    places = random.integers(10_000, len(noisy), round(len(noisy) * share))
    noisy[places] = random.integers(0, 256, len(places))
    return noisy.tobytes()


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _random_bytes() -> bytes:
    return b"\x8f" + np.random.default_rng(1).bytes(50_000)


RECIPES: dict[str, Callable[[], bytes]] = {
    # pictures as they should be
    "jpeg.jpg": lambda: _still("jpeg", quality=90),
    "jpeg_progressive.jpg": lambda: _still("jpeg", quality=90, progressive=True),
    "jpeg_grey.jpg": lambda: _still("jpeg", Image.fromarray(picture(2.0)).convert("L")),
    "jpeg_rotated_90.jpg": lambda: _still("jpeg", quality=90, exif=_exif(6)),
    "jpeg_mirrored.jpg": lambda: _still("jpeg", quality=90, exif=_exif(2)),
    "png.png": lambda: _still("png"),
    "png_transparent.png": _transparent_png,
    "png_palette.png": lambda: _still("png", Image.fromarray(picture(2.0)).convert("P")),
    "webp.webp": lambda: _still("webp", quality=90),
    "webp_animated.webp": lambda: _animation("webp"),
    "gif.gif": lambda: _animation("gif"),
    "bmp.bmp": lambda: _still("bmp"),
    "tiff.tiff": lambda: _still("tiff"),
    "avif.avif": lambda: _still("avif", quality=90),
    "avif_rotated_90.avif": lambda: _still("avif", quality=90, exif=_exif(6)),
    # videos as they should be
    "mp4_faststart.mp4": _faststart,
    "mp4_moov_at_end.mp4": lambda: _remux("mp4"),
    "mp4_fragmented.mp4": _fragmented,
    "mp4_with_sound.mp4": lambda: _remux("mp4", {"movflags": "faststart"}, sound=True),
    "mov_with_sound.mov": lambda: _remux("mov", {"movflags": "faststart"}, sound=True),
    "mkv.mkv": lambda: _remux("matroska"),
    "webm.webm": lambda: _encode("webm", "libvpx-vp9", _EVEN, {"deadline": "realtime", "cpu-used": "8", "b:v": "1M"}),
    "mpegts.ts": lambda: _remux("mpegts"),
    "mpegts_with_sound.ts": lambda: _remux("mpegts", sound=True),
    "flv.flv": lambda: _remux("flv"),
    "flv_with_sound.flv": lambda: _remux("flv", sound=True),
    "mp4_rotated_90.mp4": lambda: _display_matrix(0, 1, -1, 0),
    "mp4_mirrored.mp4": lambda: _display_matrix(-1, 0, 0, 1),
    "mp4_variable_rate.mp4": lambda: _encode("mp4", "libx264", _UNEVEN, _FAST),
    "mp4_hevc.mp4": lambda: _encode("mp4", "libx265", _EVEN, {"preset": "ultrafast", "x265-params": "log-level=none"}),
    "mp4_wide_pixels.mp4": lambda: _encode("mp4", "libx264", _UNEVEN, _FAST, pixel_aspect=Fraction(2)),
    "mp4_small.mp4": lambda: _small("mp4", movflags="faststart"),
    "mp4_small_fragmented.mp4": lambda: _small("mp4", movflags="frag_keyframe+empty_moov+default_base_moof"),
    "mp4_small_hevc.mp4": lambda: _small("mp4", "libx265", **{"x265-params": "log-level=none"}),
    "mkv_small.mkv": lambda: _small("matroska"),
    "webm_small.webm": lambda: _small("webm", "libvpx-vp9", deadline="realtime"),
    "mpegts_small.ts": lambda: _small("mpegts"),
    "flv_small.flv": lambda: _small("flv"),
    "avi_small.avi": lambda: _small("avi", "mpeg4"),
    "avi_small_mjpeg.avi": lambda: _small("avi", "mjpeg", "yuvj420p"),
    "avi_small_dv.avi": lambda: _small("avi", "dvvideo", size=(720, 576), frames=2),
    "mov_small_prores.mov": lambda: _small("mov", "prores_ks", "yuv422p10le", movflags="empty_moov"),
    "mov_small_interlaced.mov": lambda: _small(
        "mov", "prores_ks", "yuv422p10le", size=(64, 64), movflags="empty_moov", flags="+ildct"
    ),
    "mpegps_small.mpg": lambda: _small("mpeg", "mpeg2video", flags="+ildct+ilme"),
    "mpegps_small_mpeg1.mpg": lambda: _small("mpeg", "mpeg1video"),
    # bad ones, any call
    "empty.bin": lambda: b"",
    "random_bytes.jpg": _random_bytes,
    "random_bytes.mp4": _random_bytes,
    "text_renamed.jpg": lambda: "Dear gateway, this is a letter and not a picture. — Yours".encode() * 20,
    "html_renamed.mp4": lambda: b"<!doctype html><html><body>404</body></html>",
    "playlist_renamed.mp4": lambda: (
        b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
    ),
    "pdf_renamed.jpg": lambda: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(200),
    # bad pictures
    "jpeg_truncated.jpg": lambda: _half(_still("jpeg", quality=90)),
    "jpeg_header_only.jpg": lambda: _still("jpeg", quality=90)[:200],
    "jpeg_progressive_truncated.jpg": lambda: _half(_still("jpeg", quality=90, progressive=True)),
    "png_truncated.png": lambda: _half(_still("png")),
    "webp_truncated.webp": lambda: _half(_still("webp", quality=90)),
    "webp_animated_truncated.webp": lambda: _animation("webp")[:6000],
    "gif_truncated.gif": lambda: _animation("gif")[:9000],
    "bmp_truncated.bmp": lambda: _half(_still("bmp")),
    "tiff_truncated.tiff": lambda: _half(_still("tiff")),
    "avif_truncated.avif": lambda: _half(_still("avif", quality=90)),
    "png_too_many_pixels.png": _huge_png,
    "png_too_narrow.png": lambda: _still("png", Image.new("RGB", (3, 1000))),
    "heic.heic": lambda: struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"heic", 0, b"mif1", b"heic") + bytes(400),
    # bad videos
    "mp4_truncated_moov.mp4": _cut_in_moov,
    "mp4_without_moov.mp4": _without_moov,
    "mp4_truncated_media.mp4": lambda: _half(_faststart()),
    "mp4_zero_frames.mp4": _zero_frames,
    "mp4_sample_bomb.mp4": _sample_bomb,
    "mp4_table_larger_than_file.mp4": _table_larger_than_file,
    "mp4_audio_only.mp4": lambda: _audio_only("mp4", "aac"),
    "wav_audio_only.wav": lambda: _audio_only("wav", "pcm_s16le"),
    "mp4_header_only.mp4": lambda: _faststart()[:40],
    "mpegts_slightly_damaged.ts": lambda: _damaged(_remux("mpegts"), 0.00002),
    "mpegts_badly_damaged.ts": lambda: _damaged(_remux("mpegts"), 0.01),
    "mkv_truncated.mkv": lambda: _half(_remux("matroska")),
}
