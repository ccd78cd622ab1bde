import base64
import re
import struct

import pytest

from assay.errors import BadMedia
from tests.gateway.decode.upload import PICTURE, VIDEO, decode
from tests.media.heic import box, grid

NAMES = {
    "a JPEG 2000 picture": [b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51\0"],
    "a JPEG XL picture": [b"\xff\x0a\xfa\x7f", b"\0\0\0\x0cJXL \r\n\x87\n"],
    "a JPEG-LS picture": [b"\xff\xd8\xff\xf7\0\x0b\x08"],
    "a JPEG XR picture": [b"II\xbc\x01"],
    "a Photoshop document (PSD)": [b"8BPS\0\1"],
    "a Photoshop document (PSB)": [b"8BPS\0\2"],
    "an icon (ICO)": [b"\0\0\1\0\1\0\x10\x10"],
    "an SVG drawing": [
        b'<svg xmlns="http://www.w3.org/2000/svg"></svg>',
        b'<?xml version="1.0"?>\n<!-- made by hand -->\n<svg width="4"/>',
    ],
    "a PDF document": [b"%PDF-1.7\n%\xe2\xe3\xcf\xd3"],
    "a PostScript document": [b"%!PS-Adobe-3.0"],
    "an OpenEXR picture": [b"\x76\x2f\x31\x01\2\0\0\0"],
    "a Radiance HDR picture": [b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n", b"#?RGBE\n"],
    "a QOI picture": [b"qoif\0\0\1\0\0\0\1\0\3\0"],
    "a TGA picture": [
        struct.pack("<3B5x4H2B", 0, 0, 2, 0, 0, 64, 48, 24, 0x20),
        struct.pack("<3BHHB4H2B", 0, 1, 1, 0, 256, 24, 0, 0, 64, 48, 8, 0),
        struct.pack("<3B5x4H2B", 12, 0, 10, 0, 0, 640, 480, 32, 8),
    ],
    "a PPM picture": [b"P6\n64 48\n255\n", b"P3 64 48 255 0 0 0"],
    "a PFM picture": [b"PF\n64 48\n-1.0\n"],
    "a texture (DDS)": [b"DDS \x7c\0\0\0"],
    "a medical picture (DICOM)": [bytes(128) + b"DICM"],
    "an astronomical picture (FITS)": [b"SIMPLE  =                    T"],
    "a camera raw picture (CR3)": [box(b"ftyp", b"crx ", bytes(4), b"crx isom")],
    "a camera raw picture (RAF)": [b"FUJIFILMCCD-RAW 0201"],
    "a camera raw picture (RW2)": [b"IIU\0\x18\0\0\0"],
    "a camera raw picture (ORF)": [b"IIRO\x08\0\0\0", b"IIRS\x08\0\0\0", b"MMOR\0\0\0\x08"],
    "a camera raw picture (X3F)": [b"FOVb\0\0\2\0"],
    "a camera raw picture (CRW)": [b"II\x1a\0\0\0HEAPCCDR"],
    "a HEIF picture coded in JPEG 2000": [box(b"ftyp", b"j2ki", bytes(4), b"mif1")],
    "a bare H.264 stream": [b"\0\0\0\1\x67\x64\0\x1f", b"\0\0\1\x09\x10"],
    "a bare HEVC stream": [b"\0\0\0\1\x40\1\x0c\1"],
    "a bare VP8, VP9 or AV1 stream": [b"DKIF\0\0\x20\0AV01"],
    "what macOS keeps next to a file (AppleDouble)": [b"\0\5\x16\7\0\2\0\0Mac OS X"],
    "a tar archive": [b"photo.jpg" + bytes(248) + b"ustar\x0000"],
    "a sound file (WAV)": [b"RIFF\0\0\0\0WAVEfmt "],
}


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("spec", [PICTURE, VIDEO], ids=["picture", "video"])
@pytest.mark.parametrize("name", NAMES)
async def test_what_is_not_accepted_is_named_in_either_call(pool, name, spec):
    for head in NAMES[name]:
        with pytest.raises(BadMedia) as refusal:
            await decode(pool, head + bytes(300 if b"<" not in head and head[:1] not in b"P#%" else 0), spec)
        assert str(refusal.value).startswith(f"this is {name}, which is not accepted; send a JPEG, PNG")


PAGE = "<!DOCTYPE html>\n<html><body>404 Nicht gefunden: schöne Grüße</body></html>"
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(range(256)) * 4
UNUSUAL = {
    "this is a web page (HTML), not the file": [PAGE.encode(), b"\xef\xbb\xbf" + PAGE.encode(), PAGE.encode("utf-16")],
    "this is a file written as text (base64); decode": [b"data:image/jpeg;base64,/9j/4AAQ", base64.b64encode(JPEG)],
    "a JPEG picture begins only at byte 3; send": [b"\xef\xbb\xbf" + JPEG],
    "a JPEG picture begins only at byte 43; send": [b"HTTP/1.1 200 OK\r\nContent-Length: 1040\r\n\r\n\n\n" + JPEG],
}


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("words", UNUSUAL)
async def test_what_went_wrong_on_the_way_is_named(pool, words):
    for data in UNUSUAL[words]:
        with pytest.raises(BadMedia, match=re.escape(words)):
            await decode(pool, data, PICTURE)


@pytest.mark.asyncio(loop_scope="session")
async def test_a_heif_picture_of_another_codec_is_named(pool):
    data = grid().replace(b"grid", b"j2k1").replace(b"hvc1", b"j2k1")
    with pytest.raises(BadMedia, match="this is a HEIF picture coded in JPEG 2000"):
        await decode(pool, data, PICTURE)
