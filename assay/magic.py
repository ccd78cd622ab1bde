"""What the first bytes of a file say: picture or video. Its name plays no part."""

HEAD_BYTES = 12

_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM", *_TIFF)
# Brands of ISO files that hold pictures; all other brands (isom, mp42, qt, …) are videos.
_PICTURE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def is_picture(head: bytes) -> bool:
    """Whether the first 12 bytes are those of JPEG, PNG, GIF, WebP, BMP, TIFF, AVIF or HEIC."""
    if head.startswith(_MAGIC):
        return True
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return True
    return head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS
