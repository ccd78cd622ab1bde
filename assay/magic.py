"""What the first bytes of a file say: picture or video. Its name plays no part."""

HEAD_BYTES = 12

PICTURES = (
    *((b"\xff\xd8\xff", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"GIF87a", "gif"), (b"GIF89a", "gif"), (b"BM", "bmp")),
    *((begin, "tiff") for begin in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")),
)
"""How files of some formats begin, which no other file does."""
AVIF_BRANDS = (b"avif", b"avis")
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
"""Brands of ISO files that hold pictures; all other brands (isom, mp42, qt, …) are videos."""


def is_picture(head: bytes) -> bool:
    """Whether the first 12 bytes are those of JPEG, PNG, GIF, WebP, BMP, TIFF, AVIF or HEIC."""
    if head.startswith(tuple(begin for begin, _ in PICTURES)):
        return True
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return True
    return head[4:8] == b"ftyp" and head[8:12] in AVIF_BRANDS + HEIC_BRANDS
