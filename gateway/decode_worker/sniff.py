"""What the first bytes say the file is. FFmpeg never guesses: it is told, and knows no other format."""

from assay.errors import BadMedia, InvalidRequest

SNIFF_BYTES = 4096

STILL = ("jpeg", "png", "webp", "gif", "bmp", "tiff", "avif", "heic")
VIDEO = ("mp4", "matroska", "mpegts", "flv")

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"FLV\x01", "flv"),
)
_REFUSED: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"#EXTM3U", "a playlist"),
    (b"OggS", "an Ogg file"),
    (b"fLaC", "a sound file (FLAC)"),
    (b"ID3", "a sound file (MP3)"),
    (b"\xff\xfb", "a sound file (MP3)"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media (ASF) file"),
)
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"moof", b"free", b"skip", b"wide", b"styp", b"sidx", b"pnot", b"uuid")
_TS_PACKET_BYTES = 188


def sniff(head: bytes, is_video: bool) -> str:
    """Name of the container, one of `STILL` or `VIDEO`.

    Raises `BadMedia` for what is not accepted and `InvalidRequest` for a picture sent as a video or the reverse.
    """
    container = _container(head)
    if container is None:
        raise BadMedia(_refusal(head))
    if is_video and container in STILL:
        raise InvalidRequest(f"this is a picture ({container.upper()}), not a video; send it with the image call")
    if not is_video and container in VIDEO:
        raise InvalidRequest(f"this is a video ({container}), not a picture; send it with the video call")
    return container


def _container(head: bytes) -> str | None:
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        return _by_brand(head)
    if head[4:8] in _MP4_BOXES:
        return "mp4"
    starts = head[0 : 5 * _TS_PACKET_BYTES : _TS_PACKET_BYTES]
    if len(starts) >= 2 and set(starts) == {0x47}:
        return "mpegts"
    return None


def _by_brand(head: bytes) -> str | None:
    size = int.from_bytes(head[:4], "big")
    brands = {head[8:12]} | {head[i : i + 4] for i in range(16, min(size, len(head), 256), 4)}
    if brands & {b"avif", b"avis"}:
        return "avif"
    if brands & {b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"}:
        return "heic"
    return "mp4"


def _refusal(head: bytes) -> str:
    # Both kinds are named: whoever calls does not always know which call a file belongs to.
    pictures, videos = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC", "MP4, MOV, MKV, WebM, MPEG-TS or FLV"
    accepted = f"a {pictures} picture, or an {videos} video"
    if not head:
        return f"the file is empty; send {accepted}"
    for magic, name in _REFUSED:
        if head.startswith(magic):
            return f"this is {name}, which is not accepted; send {accepted}"
    if head[:4] == b"RIFF":
        kind = {b"WAVE": "a sound file (WAV)", b"AVI ": "an AVI video"}.get(head[8:12], "a RIFF file")
        return f"this is {kind}, which is not accepted; send {accepted}"
    # The last character may be cut in the middle, hence `ignore`.
    text = head.decode("utf-8", "ignore")
    if len(text.encode()) > len(head) - 4 and all(sign.isprintable() or sign.isspace() for sign in text):
        return f"this is a text, whatever its name says; send {accepted}"
    return f"these bytes are of no known kind; send {accepted}"
