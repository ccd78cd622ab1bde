"""Colour profiles of stills: whatever colours a picture is coded in, the model sees sRGB, as on an ordinary screen."""

import io
import struct
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from gateway.decode.worker import colour

IGNORED = "the colour profile of the picture cannot be used and was ignored; its colours were taken for sRGB"
MAX_PROFILE_BYTES = 16 << 20
"""Profiles of printing presses take 3 MiB; nothing else comes near."""
_HEADER_BYTES, _TAG_BYTES, _MAX_TAGS = 132, 12, 200
_MODES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK", b"Lab ": "LAB"}
_CLASSES = (b"mntr", b"scnr", b"prtr", b"spac")
"""Display, scanner, printer, colour space; device links, effects and named colours say nothing about a picture."""
_MOST_LEVELS = 2
"""Of 255: a profile that changes no colour by more means sRGB."""
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
"""IEC 61966-2-1 as an ICC parametric curve of type 3: gamma, a, b, c, d."""
_POWERS = {4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}
"""ITU-T H.273 TransferCharacteristics -> gamma. The curves of BT.709 and its kin are shown as sRGB, as browsers do."""
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


@dataclass(frozen=True, slots=True)
class ColourTags:
    """What a file says about its colours; nothing of it means sRGB."""

    profile: bytes = b""
    """An ICC profile (ISO 15076-1)."""
    transfer: int = 0
    """ITU-T H.273; 0 and 2 are unspecified."""
    primaries: int = 0
    chromaticities: tuple[tuple[float, float], ...] = ()
    """x and y of red, green, blue and white, where the file gives them as numbers."""
    gamma: float = 0.0
    """Where the file gives it as a number; 0 if it does not."""

    @property
    def space(self) -> str:
        """Pillow's mode that the profile is for; empty without one that can be used."""
        head = self.profile[:_HEADER_BYTES]
        is_usable = len(head) == _HEADER_BYTES and len(self.profile) <= MAX_PROFILE_BYTES and head[12:16] in _CLASSES
        return _MODES.get(head[16:20], "") if is_usable and head[36:40] == b"acsp" else ""


def hdr_of(tags: ColourTags) -> tuple[int, int]:
    """Transfer and primaries, from the profile where it is one of HDR (its tag cicp, ICC.1:2022)."""
    coded = _cicp(tags.profile) or (tags.primaries, tags.transfer)
    return coded[1], coded[0]


def _cicp(profile: bytes) -> tuple[int, int] | None:
    count = min(int.from_bytes(profile[128:132], "big"), _MAX_TAGS)
    for at in range(_HEADER_BYTES, min(_HEADER_BYTES + count * _TAG_BYTES, len(profile) - _TAG_BYTES), _TAG_BYTES):
        name, start, _ = struct.unpack_from(">4sII", profile, at)
        if name == b"cicp" and profile[start : start + 4] == b"cicp" and len(profile) >= start + 12:
            return profile[start + 8], profile[start + 9]
    return None


def to_srgb(pixels: NDArray[np.uint8], tags: ColourTags, warnings: list[str]) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 as coded -> the same in sRGB. Made for pictures that have been resized: the work of
    littlecms grows with the pixels, and the result is the same to a fifth of a grey level."""
    if colour.is_hdr(hdr_of(tags)[0]):
        return pixels  # brought to SDR in full size, with its transparency
    profile = tags.profile if tags.profile else profile_of(tags)
    if profile is None:
        return _ignored(pixels, warnings)
    if not profile:
        return pixels
    space = ColourTags(profile).space
    if space not in ("RGB", "L"):
        return _ignored(pixels, warnings)
    picture = Image.fromarray(pixels if space == "RGB" else np.ascontiguousarray(pixels[:, :, 0]))
    shown = _converted(picture, profile)
    return _ignored(pixels, warnings) if shown is None else np.asarray(shown)


def _ignored(pixels: NDArray[np.uint8], warnings: list[str]) -> NDArray[np.uint8]:
    warnings.append(IGNORED)
    return pixels


def flat(picture: Image.Image, tags: ColourTags, warnings: list[str]) -> tuple[Image.Image, ColourTags]:
    """A picture of inks (CMYK) or of CIELAB -> one of light, and what is still to be said of its colours; any other as
    it is."""
    if picture.mode not in ("CMYK", "LAB"):
        return picture, tags
    shown = None
    if tags.profile:
        shown = _converted(picture, tags.profile) if tags.space == picture.mode else None
        warnings += [IGNORED] if shown is None else []
    if shown is None:
        shown = picture.convert("RGB") if picture.mode == "CMYK" else _converted(picture, _lab())
    if shown is None:
        raise ValueError("littlecms cannot convert CIELAB")
    return shown, ColourTags()


def _converted(picture: Image.Image, profile: bytes) -> Image.Image | None:
    """In sRGB; None if littlecms cannot do anything with the profile."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(
            source, _srgb(), picture.mode, "RGB", flags=ImageCms.Flags.BLACKPOINTCOMPENSATION
        )
        if picture.mode == "RGB" and _changes_nothing(transform):
            return picture
        return ImageCms.applyTransform(picture, transform)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Most profiles are sRGB in one of its many spellings, which would only cost a rounding."""
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    shown = np.asarray(ImageCms.applyTransform(Image.fromarray(colours), transform))
    return int(np.abs(shown.astype(np.int16) - colours).max()) <= _MOST_LEVELS


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@cache
def _lab() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def profile_of(tags: ColourTags) -> bytes | None:
    """An ICC profile of what the file says in numbers; empty for sRGB, None if they make no sense."""
    known = colour.CHROMATICITIES.get(tags.primaries, colour.SRGB)
    chromaticities = tags.chromaticities or known
    gamma = tags.gamma or _POWERS.get(tags.transfer, 0.0)
    if not gamma and np.allclose(chromaticities, colour.SRGB, atol=0.002):
        return b""
    try:
        return _profile(chromaticities, (gamma,) if gamma else _SRGB_CURVE)
    except (ZeroDivisionError, np.linalg.LinAlgError, struct.error):
        return None


def _profile(chromaticities: tuple[tuple[float, float], ...], curve: tuple[float, ...]) -> bytes:
    """A display profile of version 4 with three colorants and one curve. Raises where no such screen can exist."""
    colorants = _adaptation(chromaticities[3]) @ colour.to_xyz(chromaticities)
    response = b"para" + bytes(4) + struct.pack(">HH", 0 if len(curve) == 1 else 3, 0) + _fixed(*curve)
    xyz = [b"XYZ " + bytes(4) + _fixed(*column) for column in (_D50, *colorants.T)]
    tags = dict(zip((b"wtpt", b"rXYZ", b"gXYZ", b"bXYZ"), xyz, strict=True))
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), response)
    table, bodies = struct.pack(">I", len(tags)), b""
    for name, body in tags.items():
        table += struct.pack(">4sII", name, 132 + 12 * len(tags) + len(bodies), len(body))
        bodies += body
    size = struct.pack(">I", 128 + len(table) + len(bodies))
    kinds = struct.pack(">4xI4s4s4s", 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    return size + kinds + bytes(12) + b"acsp" + bytes(28) + _fixed(*_D50) + bytes(48) + table + bodies


def _adaptation(white: tuple[float, float]) -> NDArray[np.float64]:
    """From this white to that of the profile connection space (Bradford; ICC.1:2022, annex E)."""
    x, y = white
    cones = _BRADFORD @ np.array([x / y, 1.0, (1 - x - y) / y])
    return np.asarray(np.linalg.inv(_BRADFORD) @ np.diag(_BRADFORD @ _D50 / cones) @ _BRADFORD)


def _fixed(*numbers: float) -> bytes:
    """s15Fixed16Number."""
    return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))
