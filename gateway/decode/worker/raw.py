"""Camera raw files that are built as TIFF (DNG, NEF, CR2, ARW, PEF and their kin): by name, and by the full-size
preview in them where there is one. What a sensor measured is no picture until somebody has developed it."""

from collections.abc import Iterator

from assay.errors import BadMedia
from gateway.decode.worker import tiff
from gateway.decode.worker.header import Header, read_header
from gateway.decode.worker.resize import Orientation, from_exif
from gateway.decode.worker.tiff import Directory

_DNG_VERSION, _EXIF_DIRECTORY, _EXIF_WIDTH, _EXIF_HEIGHT = 50706, 34665, 0xA002, 0xA003
_SENSOR = (32803, 34892)
"""Photometric: a mosaic of colour filters, or the same without the mosaic (TIFF/EP; DNG 1.7)."""
_SENSOR_COMPRESSIONS = (32767, 32769, 32770, 34713, 65000, 65535)
"""Of Sony, Epson, Samsung, Nikon, Kodak and Pentax."""
_FULL_SIZE = 0.8
"""Part of the sensor's pixels that a preview in full size has at least: cameras crop a margin, or the aspect."""
_BY_MAKER = {
    **{"nikon": "NEF", "sony": "ARW", "pentax": "PEF", "ricoh": "PEF", "samsung": "SRW", "epson": "ERF"},
    **{"seiko epson": "ERF", "hasselblad": "3FR", "phase one": "IIQ", "kodak": "DCR", "eastman kodak": "DCR"},
    **{"canon": "CR2", "leaf": "MOS", "mamiya": "MEF", "leica": "DNG", "panasonic": "RW2", "olympus": "ORF"},
}


def name_of(chain: list[list[Directory]]) -> str:
    """As in "a camera raw picture (NEF)"; empty for an ordinary TIFF."""
    first, every = chain[0][0], [directory for page in chain for directory in page]
    if _DNG_VERSION in first.fields and not _is_developed(tiff.picture_of(chain)):
        return "a camera raw picture (DNG)"
    is_canon = first.data[8:10] == b"CR"
    if not is_canon and not any(map(_is_of_sensor, every)):
        return ""
    maker = first.text(tiff.MAKE).lower()
    kind = "CR2" if is_canon else next((kind for name, kind in _BY_MAKER.items() if maker.startswith(name)), "")
    return f"a camera raw picture ({kind})" if kind else "a camera raw picture"


def _is_developed(directory: Directory) -> bool:
    return directory.is_whole and not _is_of_sensor(directory)


def _is_of_sensor(directory: Directory) -> bool:
    return (
        directory.number(tiff.PHOTOMETRIC, -1) in _SENSOR or directory.number(tiff.COMPRESSION) in _SENSOR_COMPRESSIONS
    )


def full_size_preview(chain: list[list[Directory]], name: str) -> tuple[bytes, Header]:
    """The largest JPEG in the file, if it is of the sensor's size. Raises `BadMedia` that names the file if not."""
    every = [directory for page in chain for directory in page]
    needed = max([d.pixels for d in every if _is_of_sensor(d)] + [_exif_pixels(chain[0][0])])
    previews = [(jpeg, header) for directory in every for jpeg, header in _jpegs(directory)]
    jpeg, header = max(previews, key=lambda preview: preview[1].pixels, default=(b"", Header(0, 0)))
    if not needed or header.pixels < _FULL_SIZE * needed:
        raise BadMedia(
            f"this is {name} without a preview in full size, which is not accepted; export it as JPEG or TIFF"
        )
    return jpeg, header


def orientation_of(chain: list[list[Directory]]) -> Orientation:
    """Of the file, where the preview does not say its own."""
    return from_exif(chain[0][0].number(tiff.ORIENTATION, 1))


def shown(name: str) -> str:
    """The warning for a preview."""
    return f"this is {name}, of which the full-size preview was judged as the camera made it"


def _exif_pixels(first: Directory) -> int:
    """What the camera says the picture has, where the sensor's data do not."""
    for exif in tiff.directories_at(first, first.number(_EXIF_DIRECTORY)):
        return exif.number(_EXIF_WIDTH) * exif.number(_EXIF_HEIGHT)
    return 0


def _jpegs(directory: Directory) -> Iterator[tuple[bytes, Header]]:
    """Whole JPEGs that a directory points to, which are no sensor's data (these are lossless JPEGs often)."""
    places = [(directory.number(tiff.JPEG_START), directory.number(tiff.JPEG_SIZE))]
    if len(directory.numbers(tiff.STRIPS)) == 1 and directory.number(tiff.COMPRESSION) in (6, 7):
        places.append((directory.number(tiff.STRIPS), directory.number(tiff.STRIP_SIZES)))
    for start, size in places:
        jpeg = directory.data[start : start + size]
        if _is_of_sensor(directory) or not jpeg.startswith(b"\xff\xd8\xff"):
            continue
        try:
            header = read_header(jpeg, "jpeg")
        except BadMedia:
            continue
        if not header.variant:
            yield jpeg, header
