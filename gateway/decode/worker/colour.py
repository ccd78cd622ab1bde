"""What the numbers of a frame mean, where FFmpeg's scaler would take them for something else.

HDR is brought to SDR here and not by the scaler, which computes a table for 3.4 s of processor time first.
"""

from functools import cache
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from gateway.decode.worker.presentation import Presentation

_UNSPECIFIED = 2
"""Of `AVColorSpace`: the file does not say how brightness and colour were parted."""
_HD_HEIGHT_PX, _HD_WIDTH_PX = 720, 1280
_SCALER_MATRICES: dict[int, Any] = {1: Colorspace.ITU709, 5: Colorspace.ITU601, 6: Colorspace.ITU601, 9: 9, 10: 9}
"""From the numbers of ITU-T H.273 to the scaler's, in which 9 is that of BT.2020."""

_HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)
_PEAK, _WHITE = 1000.0, 203.0
"""cd/m2: the brightest that a scene is taken to have, and white on paper in it (ITU-R BT.2408), for an SDR screen."""
_PER_SIDE = 33
"""Of the table; what lies between its colours is interpolated."""
# x and y of red, green, blue and white.
Chromaticities = tuple[tuple[float, float], ...]
SRGB: Chromaticities = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), (0.3127, 0.3290))
_NTSC: Chromaticities = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), (0.3127, 0.3290))
# By their numbers in ITU-T H.273.
CHROMATICITIES: dict[int, Chromaticities] = {
    ColorPrimaries.BT709: SRGB,
    ColorPrimaries.BT470M: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), (0.310, 0.316)),
    ColorPrimaries.BT470BG: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), (0.3127, 0.3290)),
    ColorPrimaries.SMPTE170M: _NTSC,
    ColorPrimaries.SMPTE240M: _NTSC,
    ColorPrimaries.BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), (0.3127, 0.3290)),
    ColorPrimaries.SMPTE431: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    ColorPrimaries.SMPTE432: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290)),
}
Floats = NDArray[np.float64]


def of_video(frame: av.VideoFrame, presentation: Presentation) -> dict[str, Any]:
    """Arguments for `VideoReformatter.reformat`, for a video that may not say by which matrix it was made.

    What the stream does not say may be said by its container. Where nobody says it, players take BT.709 if it is high
    definition, and BT.601 if it is not; the scaler would always take the latter (a red of 220, 20, 20 becomes 203, 0,
    23).
    """
    if frame.format.is_rgb:
        return {}
    arguments: dict[str, Any] = {}
    if frame.color_range == ColorRange.UNSPECIFIED and presentation.is_full_range:
        arguments["src_color_range"] = ColorRange.JPEG
    if frame.colorspace == _UNSPECIFIED:
        is_hd = frame.height >= _HD_HEIGHT_PX or frame.width >= _HD_WIDTH_PX
        matrix = _SCALER_MATRICES.get(presentation.matrix, Colorspace.ITU709 if is_hd else None)
        return arguments if matrix is None else {**arguments, "src_colorspace": matrix}
    return arguments


def first_said(by_stream: int, by_container: int) -> int:
    """A number of ITU-T H.273, from the first source that has it."""
    return by_container if by_stream in (0, _UNSPECIFIED) else by_stream


def is_hdr(curve: int | None) -> bool:
    """PQ or HLG."""
    return curve in _HDR


def to_sdr(pixels: Any, curve: int | None, primaries: int | None) -> Any:
    """(height, width, 3 or 4) uint8 RGB -> the same as an SDR screen shows it; only HDR is touched.

    `curve` and `primaries` as the file says it, in the numbers of ITU-T H.273.

    The numbers of PQ and HLG taken for those of SDR are a grey and dark picture.
    """
    if not is_hdr(curve):
        return pixels
    known = primaries if primaries in CHROMATICITIES else ColorPrimaries.BT2020
    return np.asarray(Image.fromarray(pixels).filter(_table(curve, known)))


@cache
def _table(curve: int, primaries: int) -> ImageFilter.Color3DLUT:
    """RGB as coded by PQ or HLG -> RGB for a screen of BT.709 and gamma 2.4 (BT.1886)."""
    steps = np.linspace(0.0, 1.0, _PER_SIDE)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")  # red changes fastest
    coded = np.stack([red, green, blue], axis=-1).reshape(-1, 3)
    light: Floats = _pq_light(coded) if curve == ColorTrc.SMPTE2084 else _hlg_light(coded, primaries)
    shown = _within_sdr(light) @ _to_bt709(primaries).T
    table = np.clip(shown, 0.0, 1.0) ** (1 / 2.4)
    return ImageFilter.Color3DLUT(_PER_SIDE, table.astype(np.float32).ravel())


def _pq_light(coded: Floats) -> Floats:
    """SMPTE ST 2084: 0..1 -> cd/m2."""
    root = coded ** (32 / 2523)
    power = np.maximum(root - 107 / 128, 0.0) / (2413 / 128 - 2392 / 128 * root)
    return np.asarray(10_000 * power ** (8192 / 1305))


def _pq_coded(light: Floats | float) -> Floats:
    """The inverse."""
    power = (np.asarray(light) / 10_000) ** (1305 / 8192)
    return ((107 / 128 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def _hlg_light(coded: Floats, primaries: int) -> Floats:
    """ARIB STD-B67 (ITU-R BT.2100): 0..1 -> cd/m2 on a screen of 1000, whose system gamma is 1.2."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
    brightness = scene @ to_xyz(CHROMATICITIES[primaries])[1]
    return np.asarray(_PEAK * brightness[:, None] ** 0.2 * scene)


def _within_sdr(light: Floats) -> Floats:
    """cd/m2 -> shares of an SDR screen's white. Up to about half of it nothing changes, highlights are rolled off.

    The curve is the EETF of ITU-R BT.2390 without its part for black, applied to the brightest of the three colours,
    so that the hue stays.
    """
    brightest = np.clip(light.max(axis=1, keepdims=True), 1e-6, _PEAK)
    top = float(_pq_coded(_WHITE) / _pq_coded(_PEAK))
    knee = 1.5 * top - 0.5
    coded = _pq_coded(brightest) / _pq_coded(_PEAK)
    t = (coded - knee) / (1 - knee)
    rolled = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * top
    mapped = _pq_light(np.where(coded < knee, coded, rolled) * _pq_coded(_PEAK))
    return np.asarray(np.minimum(light, _PEAK) * (mapped / brightest / _WHITE))


def _to_bt709(primaries: int) -> Floats:
    return np.asarray(np.linalg.inv(to_xyz(SRGB)) @ to_xyz(CHROMATICITIES[primaries]))


def to_xyz(chromaticities: Chromaticities) -> Floats:
    """Linear RGB -> CIE XYZ, so that full red, green and blue are white. Raises `ZeroDivisionError`, `LinAlgError`."""
    columns = np.array([(x / y, 1.0, (1 - x - y) / y) for x, y in chromaticities]).T
    return np.asarray(columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3]))
