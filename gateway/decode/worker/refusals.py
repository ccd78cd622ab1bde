"""What a file is that is not accepted, by its first bytes, so that its sender knows what to convert."""

_ACCEPTED = (
    "a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC picture, or an MP4, MOV, MKV, WebM, AVI, MPEG-TS, MPEG-PS or FLV "
    "video"
)
"""Both kinds: a caller does not always know which call a file belongs to."""
_BARE = "a bare {} stream"
_START_CODES = (b"\0\0\1", b"\0\0\0\1")
_BARE_UNITS: tuple[tuple[bytes, str], ...] = (
    # Parameter sets and delimiters with which such a stream begins.
    *((unit, "H.264") for unit in (b"\x67", b"\x27", b"\x09")),
    *((unit, "HEVC") for unit in (b"\x40\1", b"\x42\1", b"\x46\1")),
    *((unit, "MPEG-4") for unit in (b"\xb0", b"\x00\0\0\1\x20")),
)
_RAW = "a camera raw picture ({})"
_KINDS: tuple[tuple[int, bytes, str], ...] = (
    # Where the bytes are, which, and what they mean.
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", "a JPEG 2000 picture"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"\xff\xd8\xff\xf7", "a JPEG-LS picture"),
    (0, b"II\xbc\x01", "a JPEG XR picture"),
    (0, b"8BPS\0\x02", "a Photoshop document (PSB)"),
    (0, b"8BPS", "a Photoshop document (PSD)"),
    (0, b"gimp xcf", "a GIMP document (XCF)"),
    (0, b"icns", "an icon (ICNS)"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (0, b"#?RADIANCE", "a Radiance HDR picture"),
    (0, b"#?RGBE", "a Radiance HDR picture"),
    (0, b"qoif", "a QOI picture"),
    (0, b"DDS ", "a texture (DDS)"),
    (0, b"\xabKTX ", "a texture (KTX)"),
    (0, b"BPG\xfb", "a BPG picture"),
    (0, b"FLIF", "a FLIF picture"),
    (0, b"\x8aMNG\r\n", "an MNG animation"),
    (0, b"\x8bJNG\r\n", "a JNG picture"),
    (0, b"\x01\xda\x00\x01", "an SGI picture"),
    (0, b"\x01\xda\x01\x01", "an SGI picture"),
    (0, b"\x59\xa6\x6a\x95", "a Sun raster picture"),
    (0, b"\x0a\x05\x01", "a PCX picture"),
    (0, b"\xd7\xcd\xc6\x9a", "a Windows metafile (WMF)"),
    (0, b"SIMPLE  =", "an astronomical picture (FITS)"),
    (0, b"AT&TFORM", "a DjVu document"),
    (4, b"ftypcrx ", _RAW.format("CR3")),
    (6, b"HEAPCCDR", _RAW.format("CRW")),
    (0, b"FUJIFILMCCD-RAW", _RAW.format("RAF")),
    (0, b"IIU\0", _RAW.format("RW2")),
    (0, b"IIRO", _RAW.format("ORF")),
    (0, b"IIRS", _RAW.format("ORF")),
    (0, b"MMOR", _RAW.format("ORF")),
    (0, b"FOVb", _RAW.format("X3F")),
    (0, b"\0MRM", _RAW.format("MRW")),
    (0, b"%PDF", "a PDF document"),
    (0, b"%!PS", "a PostScript document"),
    (0, b"\xc5\xd0\xd3\xc6", "a PostScript document (EPS)"),
    (0, b"PK\x03\x04", "a ZIP archive, or a document of an office program"),
    (0, b"\xd0\xcf\x11\xe0", "a document of an office program"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ\0", "an xz archive"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (0, b"FWS", "a Flash animation"),
    (0, b"CWS", "a Flash animation"),
    (0, b"\x7fELF", "a program"),
    (0, b"\0\5\x16\7", "what macOS keeps next to a file (AppleDouble)"),
    (0, b"#EXTM3U", "a playlist"),
    (0, b"OggS", "an Ogg file"),
    (0, b"fLaC", "a sound file (FLAC)"),
    (0, b"ID3", "a sound file (MP3)"),
    (0, b"\xff\xfb", "a sound file (MP3)"),
    (0, b"\0\0\1\xb3", _BARE.format("MPEG video")),
    *((0, code + unit, _BARE.format(name)) for code in _START_CODES for unit, name in _BARE_UNITS),
    (0, b"DKIF", _BARE.format("VP8, VP9 or AV1")),
    (0, b"YUV4MPEG2", "a video of uncompressed frames (Y4M)"),
    (0, b"\x06\x0e\x2b\x34\x02\x05\x01\x01", "an MXF file"),
    (0, b"\x1f\x07\0", "a bare DV stream"),
    (0, b".RMF", "a RealMedia file"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media (ASF) file"),
)
_AMBIGUOUS: tuple[tuple[int, bytes, str], ...] = (
    # Far from the beginning, which may be that of a kind that is accepted.
    (40, b" EMF", "a Windows metafile (EMF)"),
    (257, b"ustar", "a tar archive"),
    (128, b"DICM", "a medical picture (DICOM)"),
    (8, b"WAVE", "a sound file (WAV)"),
    (0, b"RIFF", "a RIFF file"),
)
_PORTABLE = {
    **dict.fromkeys((b"P1", b"P4"), "a PBM picture"),
    **dict.fromkeys((b"P2", b"P5"), "a PGM picture"),
    **dict.fromkeys((b"P3", b"P6"), "a PPM picture"),
    **{b"P7": "a PAM picture", b"PF": "a PFM picture", b"Pf": "a PFM picture"},
}
_ICONS = {b"\0\0\1\0": "an icon (ICO)", b"\0\0\2\0": "a mouse cursor (CUR)"}
_HEIF_BRANDS = {
    **{b"avci": "H.264", b"avcs": "H.264", b"j2ki": "JPEG 2000", b"j2is": "JPEG 2000", b"jpeg": "JPEG"},
    **{b"vvic": "VVC (H.266)", b"evbi": "EVC"},
}
_NEAR_BYTES = 1024
"""Further behind a picture is the preview of something else."""
_PICTURES = ((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"))
_BASE64 = ("/9j/", "iVBORw0KGgo", "UklGR", "R0lGOD", "AAAAIGZ0eX", "AAAAHGZ0eX")
"""How JPEG, PNG, WebP, GIF and MP4 begin in it."""
_TGA_KINDS, _TGA_DEPTHS = (1, 2, 3, 9, 10, 11), (8, 15, 16, 24, 32)


def refusal(head: bytes) -> str:
    """The message for these bytes, which are of no accepted kind."""
    if not head:
        return f"the file is empty; send {_ACCEPTED}"
    if name := known(head) or _at(_AMBIGUOUS, head):
        return f"this is {name}, which is not accepted; send {_ACCEPTED}"
    if text := _text(head):
        return _of_text(text)
    if _is_tga(head):
        return f"this is a TGA picture, which is not accepted; send {_ACCEPTED}"
    for magic, name in _PICTURES:
        if (at := head[:_NEAR_BYTES].find(magic)) > 0:
            return f"a {name} picture begins only at byte {at}; send it without what stands in front of it"
    return f"these bytes are of no known kind; send {_ACCEPTED}"


def _text(head: bytes) -> str:
    """What is written there; empty if it is no text."""
    coding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    # The last character may be cut in the middle, hence `ignore`.
    text = head.decode(coding, "ignore").removeprefix("\ufeff")
    is_whole = len(text.encode(coding)) > len(head) - 8
    return text if is_whole and all(sign.isprintable() or sign.isspace() for sign in text) else ""


def _of_text(text: str) -> str:
    if "<svg" in text:
        return f"this is an SVG drawing, which is not accepted; send {_ACCEPTED}"
    if "<html" in text.lower() or "<!doctype html" in text.lower():
        return f"this is a web page (HTML), not the file that it shows; send {_ACCEPTED}"
    if text.startswith(("data:image/", "data:video/", *_BASE64)):
        return "this is a file written as text (base64); decode it before it is sent"
    return f"this is a text, whatever its name says; send {_ACCEPTED}"


def known(head: bytes) -> str:
    """Name of a kind that is not accepted; empty if its first bytes do not say what it is."""
    if name := _at(_KINDS, head):
        return name
    if head[:4] in _ICONS and any(head[4:6]):  # how many it holds; with none it is a TGA
        return _ICONS[head[:4]]
    if head[:2] in _PORTABLE and head[2:3].isspace():
        return _PORTABLE[head[:2]]
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return f"a HEIF picture coded in {_HEIF_BRANDS[head[8:12]]}"
    return ""


def _at(kinds: tuple[tuple[int, bytes, str], ...], head: bytes) -> str:
    return next((name for at, magic, name in kinds if head[at : at + len(magic)] == magic), "")


def _is_tga(head: bytes) -> bool:
    """TGA has no magic number; its header of 18 bytes is made of few possible values."""
    if len(head) < 18:
        return False
    has_palette, kind, depth, descriptor = head[1], head[2], head[16], head[17]
    width, height = (int.from_bytes(head[at : at + 2], "little") for at in (12, 14))
    is_palette_right = has_palette == int(kind in (1, 9)) and bool(has_palette or not any(head[3:8]))
    return (
        kind in _TGA_KINDS and depth in _TGA_DEPTHS and is_palette_right and descriptor < 64 and min(width, height) > 0
    )
