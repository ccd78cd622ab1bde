"""Small files that want to cost much: time, memory, or a look at something that is not theirs. All are generated."""

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache

import av
import numpy as np
from PIL import Image

from tests.media import avif
from tests.media.build import media, picture
from tests.media.heic import box, grid
from tests.media.tiff import Page, tiff


def _chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _zeros(count: int) -> bytes:
    """A zlib stream of so many zeros, made in no time: one compressed mebibyte again and again."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    mebibyte = squeeze.compress(bytes(1 << 20)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    last = zlib.compressobj(9, zlib.DEFLATED, -15)
    rest = last.compress(bytes(count % (1 << 20))) + last.flush()
    adler = (count % 65521) << 16 | 1
    return b"\x78\xda" + mebibyte * (count >> 20) + rest + struct.pack(">I", adler)


def _png(width: int, height: int, bits: int, *chunks: bytes) -> bytes:
    """Transparent black from end to end, RGBA with so many bits per channel."""
    header = _chunk(b"IHDR", struct.pack(">2I5B", width, height, bits, 6, 0, 0, 0))
    pixels = _chunk(b"IDAT", _zeros(height * (1 + width * bits // 2)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + _chunk(b"IEND", b"")


def _gif(frames: int) -> bytes:
    """A screen of 16,000 x 16,000 on which single pixels are drawn."""
    screen = b"GIF89a" + struct.pack("<2H3B", 16000, 16000, 0x80, 0, 0) + bytes(3) + b"\xff" * 3
    frame = b"\x21\xf9\x04\x04\x01\x00\x00\x00" + b"\x2c" + struct.pack("<4HB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return screen + frame * frames + b"\x3b"


def _webp() -> bytes:
    """16,383 x 16,383 of one colour: five Huffman codes of one symbol each, so that a pixel takes no bit at all."""
    bits = f"{16382:014b}"[::-1] * 2 + "0" + "000" + "0" + "0" + "0" + "1000" * 5
    whole = int(bits[::-1], 2).to_bytes((len(bits) + 7) // 8, "little")
    body = b"\x2f" + whole + bytes(8)
    body += b"\0" * (len(body) % 2)
    chunk = b"VP8L" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def _bmp() -> bytes:
    header = struct.pack("<IiiHH6I", 40, 30_000, 30_000, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 100, 0, 0, 54) + header + bytes(100)


def _tiff() -> bytes:
    """One strip that claims 60,000 x 60,000 pixels."""
    entries = [(256, 60_000), (257, 60_000), (258, 8), (259, 1), (262, 1), (273, 200), (277, 1), (278, 60_000)]
    entries.append((279, 3_600_000_000))
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(400)


def _jpeg() -> bytes:
    """An honest picture whose header says 65,500 x 65,500."""
    target = io.BytesIO()
    Image.fromarray(picture()).save(target, "jpeg")
    data = bytearray(target.getvalue())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">2H", 65_500, 65_500)
    return bytes(data)


def _avif_of_one_tile() -> bytes:
    """A grid of 255 x 255 tiles, all of them the same 40 kB."""
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    return avif.tiled(avif.coded(noise, quality=100), 255, 16)


def _avif_hidden() -> bytes:
    """12,000 x 12,000 in the AV1 data, 64 x 64 in the boxes around them."""
    grey = avif.coded(np.full((64, 64, 3), 128, np.uint8))
    return avif.single(avif.Coded(grey.configuration, avif.enlarged(grey.sample), (64, 64)))


def _tiff_circle() -> bytes:
    """Reduced pages that name each other and 100,000 directories below them, and no picture in full size."""
    page = Page(np.zeros((8, 8, 3), np.uint8), tags={254: 1, 330: (8,) * 100_000})
    data = bytearray(tiff(page, page))
    (first,) = struct.unpack_from("<I", data, 4)
    struct.pack_into("<I", data, len(data) - 4, first)
    return bytes(data).replace(struct.pack("<HHII", 256, 3, 1, 8), struct.pack("<HHII", 256, 4, 1, 60_000))


def _mpf() -> bytes:
    """A multi-picture index whose list claims 4 GB, in a picture that claims 65,500 x 65,500."""
    index = b"MPF\0II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 0xB002, 7, 0xFFFFFFF0, 8) + bytes(4)
    return _jpeg()[:2] + b"\xff\xe2" + struct.pack(">H", len(index) + 2) + index + _jpeg()[2:]


def _profile(*tags: tuple[bytes, int, int], body: bytes = b"") -> bytes:
    """The frame of an ICC profile of a printer, zlib-compressed."""
    table = struct.pack(">I", len(tags)) + b"".join(struct.pack(">4sII", *tag) for tag in tags)
    header = struct.pack(
        ">I4xI4s4s4s12x4s28x", 128 + len(table) + len(body), 0x02400000, b"prtr", b"RGB ", b"Lab ", b"acsp"
    )
    return zlib.compress(header + bytes(128 - len(header)) + table + body)


def _huge_table() -> bytes:
    """Its table has 255 x 255 x 255 entries of 15 channels, by its own word."""
    table = b"mft2" + bytes(4) + bytes([3, 15, 255, 0]) + bytes(36) + struct.pack(">2H", 4096, 4096)
    return _profile((b"A2B0", 144, len(table)), body=table)


def _many_tags() -> bytes:
    return _profile(*[(b"A2B0", 132, 1 << 31)] * 200_000)


@cache
def _h264(width: int, height: int) -> bytes:
    """One grey frame in a transport stream."""
    target = io.BytesIO()
    with av.open(target, "w", format="mpegts") as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": "ultrafast", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        grey = av.VideoFrame.from_ndarray(np.full((height * 3 // 2, width), 128, np.uint8), format="yuv420p")
        grey.pts = 0
        out.mux([*stream.encode(grey), *stream.encode(None)])
    return target.getvalue()


def _switching() -> bytes:
    """A transport stream that becomes 8K after some small frames."""
    return media("mpegts_small.ts").read_bytes() + _h264(7680, 4320)


def _avi(header: tuple[int, int], picture: tuple[int, int]) -> bytes:
    """An AVI of MJPEG whose header and whose pictures claim these widths and heights."""
    data = bytearray(media("avi_small_mjpeg.avi").read_bytes())
    at = data.index(b"strf") + 12
    data[at : at + 8] = struct.pack("<2I", *header)
    at = data.find(b"\xff\xc0")
    while at >= 0:
        data[at + 5 : at + 9] = struct.pack(">2H", picture[1], picture[0])
        at = data.find(b"\xff\xc0", at + 9)
    return bytes(data)


def _find(data: bytes, kind: bytes) -> tuple[int, int]:
    """Start and end of the first box of a kind."""
    start = data.index(kind) - 4
    return start, start + int.from_bytes(data[start : start + 4], "big")


def _many_tracks(count: int) -> bytes:
    data = media("mp4_faststart.mp4").read_bytes()
    moov, trak = _find(data, b"moov"), _find(data, b"trak")
    return data[: moov[0]] + box(b"moov", data[moov[0] + 8 : moov[1]], data[slice(*trak)] * count) + data[moov[1] :]


def _one_track(table: Callable[[int, int], list[bytes]], timescale: int = 12800) -> bytes:
    """An MP4 of one key frame; `table(offset, size)` says what its sample tables make of it."""
    data = media("mp4_faststart.mp4").read_bytes()
    key_frame = _key_frame()
    mdhd = bytearray(data[slice(*_find(data, b"mdhd"))])
    mdhd[20:24] = struct.pack(">I", timescale)
    held = {kind: data[slice(*_find(data, kind))] for kind in (b"ftyp", b"mvhd", b"tkhd", b"vmhd", b"dinf", b"stsd")}
    hdlr = data[slice(*_find(data, b"hdlr"))]

    def moov(offset: int) -> bytes:
        stbl = box(b"stbl", held[b"stsd"], *table(offset, len(key_frame)))
        mdia = box(b"mdia", bytes(mdhd), hdlr, box(b"minf", held[b"vmhd"], held[b"dinf"], stbl))
        return box(b"moov", held[b"mvhd"], box(b"trak", held[b"tkhd"], mdia))

    offset = len(held[b"ftyp"]) + len(moov(0)) + 8
    return held[b"ftyp"] + moov(offset) + box(b"mdat", key_frame)


def _key_frame() -> bytes:
    with av.open(str(media("mp4_faststart.mp4"))) as source:
        return bytes(next(source.demux(video=0)))


def _u32s(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def _loop(count: int) -> bytes:
    """The same key frame again and again: every sample is a chunk of its own at the same place."""
    return _one_track(
        lambda offset, size: [
            box(b"stts", _u32s(0, 1, count, 512)),
            box(b"stsc", _u32s(0, 1, 1, 1, 1)),
            box(b"stsz", _u32s(0, size, count)),
            box(b"stco", _u32s(0, count), _u32s(offset) * count),
        ]
    )


def _few_frames(step: int, timescale: int) -> bytes:
    """Two frames, `step` ticks of 1/`timescale` s apart."""
    return _one_track(
        lambda offset, size: [
            box(b"stts", _u32s(0, 1, 2, step)),
            box(b"stsc", _u32s(0, 1, 1, 1, 1)),
            box(b"stsz", _u32s(0, size, 2)),
            box(b"stco", _u32s(0, 2, offset, offset)),
        ],
        timescale,
    )


def _samples(count: int) -> bytes:
    return _one_track(
        lambda offset, size: [
            box(b"stts", _u32s(0, 1, count, 512)),
            box(b"stsc", _u32s(0, 1, 1, count, 1)),
            box(b"stsz", _u32s(0, 1, count)),
            box(b"stco", _u32s(0, 1, offset)),
        ]
    )


def _nested(depth: int) -> bytes:
    """Index boxes inside each other."""
    head = b"".join(struct.pack(">I4s", 8 * (depth - level), b"trak") for level in range(depth))
    return media("mp4_faststart.mp4").read_bytes()[:32] + box(b"moov", head) + box(b"mdat", bytes(100))


_SDP = (
    b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 45678 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
)
_PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n"

PICTURES: dict[str, Callable[[], bytes]] = {
    "png_16k_rgba.png": lambda: _png(16_000, 16_000, 8),
    "png_11k_rgba64.png": lambda: _png(11_000, 11_000, 16),
    "gif_16k_2000_frames.gif": lambda: _gif(2000),
    "webp_16k.webp": _webp,
    "bmp_30k.bmp": _bmp,
    "tiff_60k.tiff": _tiff,
    "jpeg_65k.jpg": _jpeg,
    "heic_grid_16k.heic": lambda: grid(claimed=(16_384, 16_384)),
    "avif_grid_16k.avif": lambda: avif.grid(2, 2, claimed=(16_384, 16_384)),
    "avif_tile_read_255_x_255_times.avif": _avif_of_one_tile,
    "avif_12k_hidden_in_a_small_box.avif": _avif_hidden,
    "avif_60000_parts.avif": lambda: avif.parts(60_000),
    "tiff_circle_of_directories.tiff": _tiff_circle,
    "tiff_60000_tags.tiff": lambda: b"II*\0\x08\0\0\0\x60\xea" + struct.pack("<HHII", 256, 4, 1, 60_000) * 60_000,
    "jpeg_picture_index_of_4_billion.jpg": _mpf,
    "svg.jpg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
}
VIDEOS: dict[str, Callable[[], bytes]] = {
    "h264_9k.ts": lambda: _h264(9216, 4608),
    "avi_mjpeg_65k.avi": lambda: _avi((65_500, 65_500), (65_500, 65_500)),
    "avi_mjpeg_that_lies.avi": lambda: _avi((64, 48), (65_500, 65_500)),
    "mp4_900_tracks.mp4": lambda: _many_tracks(900),
    "mp4_2000_tracks.mp4": lambda: _many_tracks(2000),
    "mp4_20_million_samples.mp4": lambda: _samples(20_000_000),
    "mp4_80_million_samples.mp4": lambda: _samples(80_000_000),
    "mp4_key_frame_250000_times.mp4": lambda: _loop(250_000),
    "mp4_nested_100000_deep.mp4": lambda: _nested(100_000),
    "mp4_63_years.mp4": lambda: _few_frames(2_000_000_000, 1),
    "playlist.m3u8": lambda: _PLAYLIST,
    "session.sdp": lambda: _SDP,
    "concatenation.ffconcat": lambda: b"ffconcat version 1.0\nfile /etc/passwd\n",
}
HARMLESS_PICTURES: dict[str, Callable[[], bytes]] = {
    # What is not the picture is not unpacked.
    "png_text_of_1_gigabyte.png": lambda: _png(64, 64, 8, _chunk(b"zTXt", b"a\0\0" + _zeros(1 << 30))),
    # Profiles are ignored where they want too much.
    "png_profile_of_1_gigabyte.png": lambda: _png(64, 64, 8, _chunk(b"iCCP", b"a\0\0" + _zeros(1 << 30))),
    "png_profile_with_a_table_of_4_gigabytes.png": lambda: _png(64, 64, 8, _chunk(b"iCCP", b"a\0\0" + _huge_table())),
    "png_profile_of_200000_tags.png": lambda: _png(64, 64, 8, _chunk(b"iCCP", b"a\0\0" + _many_tags())),
}
HARMLESS: dict[str, Callable[[], bytes]] = {
    "h264_8k.ts": lambda: _h264(7680, 4320),
    "ts_switching_to_8k.ts": _switching,
    # A header that lies, and costs nothing because nobody believes it.
    "mp4_1000000_frames_per_second.mp4": lambda: _few_frames(1, 1_000_000),
}
