"""From a decoded picture to the size of the model: upright, resized once (twice where the checkpoint says so)."""

import math
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray
from PIL import Image

from assay.errors import BadMedia
from gateway.decode.spec import Shrink, Target
from gateway.decode.worker import colour
from gateway.decode.worker.deinterlace import filtered
from gateway.decode.worker.presentation import Presentation

# swscale's fast paths round coarsely and repeat chroma instead of interpolating it. Against Pillow's antialiased
# BICUBIC on full RGB (what the model was trained with; 1080p -> 504x280, four photos): plain BICUBIC differs by 1.7
# grey levels on average and AREA by 1.9, this combination by 0.24, for 3.2 ms per frame instead of 24 ms.
PRECISE = (
    Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)
_MAX_ASPECT = 200
_RESAMPLING = {"nearest": Image.Resampling.NEAREST, "bicubic": Image.Resampling.BICUBIC}


def smart_resize(height_px: int, width_px: int, target: Target) -> tuple[int, int]:
    """Height and width for the model, both multiples of `target.factor_px`, the aspect as near as possible.

    The rule of Qwen2-VL (Wang et al. 2024, arXiv 2409.12191, section 2.1; `smart_resize` of its image processor):
    round both sides to the factor f; if the area is then above max_pixels, divide both by sqrt(h w / max_pixels) and
    round down; if it is below min_pixels, multiply both by sqrt(min_pixels / (h w)) and round up.
    Raises `BadMedia` if one side is more than 200 times the other.
    """
    if max(height_px, width_px) > _MAX_ASPECT * min(height_px, width_px):
        raise BadMedia(f"the picture is {width_px} x {height_px} pixels; one side may be at most 200 times the other")
    factor, area = target.factor_px, height_px * width_px
    height, width = round(height_px / factor) * factor, round(width_px / factor) * factor
    if height * width > target.max_pixels:
        shrink = math.sqrt(area / target.max_pixels)
        height = max(factor, math.floor(height_px / shrink / factor) * factor)
        width = max(factor, math.floor(width_px / shrink / factor) * factor)
    elif height * width < target.min_pixels:
        grow = math.sqrt(target.min_pixels / area)
        height = math.ceil(height_px * grow / factor) * factor
        width = math.ceil(width_px * grow / factor) * factor
    return height, width


@dataclass(frozen=True, slots=True)
class Orientation:
    """How stored pixels become displayed ones: swap the axes first, then mirror."""

    swaps_axes: bool = False
    mirrors_x: bool = False
    mirrors_y: bool = False

    def upright(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(height, width, 3) as stored -> (height, width, 3) as displayed, C-contiguous."""
        if self.swaps_axes:
            pixels = pixels.swapaxes(0, 1)
        pixels = pixels[:, ::-1] if self.mirrors_x else pixels
        pixels = pixels[::-1] if self.mirrors_y else pixels
        return np.ascontiguousarray(pixels)


def from_matrix(a: float, b: float, c: float, d: float) -> Orientation:
    """Of x' = a x + c y, y' = b x + d y (y points down); an oblique matrix is taken to the nearest right angle."""
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(True, c < 0, b < 0)
    return Orientation(False, a < 0, d < 0)


def from_exif(value: object) -> Orientation:
    """Of the EXIF tag 0x0112 (1..8); anything else means upright."""
    turns = {2: (0, 1, 0), 3: (0, 1, 1), 4: (0, 0, 1), 5: (1, 0, 0), 6: (1, 1, 0), 7: (1, 1, 1), 8: (1, 0, 1)}
    swaps, mirror_x, mirror_y = turns.get(value, (0, 0, 0)) if isinstance(value, int) else (0, 0, 0)
    return Orientation(bool(swaps), bool(mirror_x), bool(mirror_y))


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """Of the display matrix that came with a frame of a video or an AVIF picture."""
    try:
        matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    except (ValueError, KeyError):
        # PyAV 18.1 raises on side data that it does not know, such as EXIF; then a mirror is lost, a turn is not.
        radians = math.radians(-frame.rotation)
        return from_matrix(math.cos(radians), math.sin(radians), -math.sin(radians), math.cos(radians))
    if matrix is None:
        return Orientation()
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    return from_matrix(a, b, c, d)


class FrameOrientation:
    """The orientation of a video's frames, read again when a frame is rotated differently from the one before.

    PyAV 18.1 ties every frame whose side data are read into a reference cycle, so that its pixels stay until Python's
    garbage collector runs: 465 MB for 150 frames of 1080p, and more than a worker is granted in 4K.
    """

    def __init__(self) -> None:
        self._rotation: float | None = None
        self._orientation = Orientation()

    def of(self, frame: av.VideoFrame) -> Orientation:
        if frame.rotation != self._rotation:
            self._rotation = frame.rotation
            self._orientation = orientation_of(frame)
        return self._orientation


class FrameResizer:
    """Resizes the frames of one video in one step with the conversion to RGB, all to the size of the first."""

    def __init__(self, target: Target, presentation: Presentation | None = None) -> None:
        self._target = target
        self.presentation = presentation or Presentation()
        """Of the track whose frames come next."""
        self._size: tuple[int, int] | None = None
        self._shown: tuple[int, int] | None = None
        # One for all frames: each `frame.reformat` would keep a scaler of its own alive.
        self._reformatter = VideoReformatter()
        self.saw_transparency = False

    def __call__(self, frame: av.VideoFrame, shown: tuple[int, int], turn: Orientation) -> NDArray[np.uint8]:
        """`shown` is (height, width) as displayed; returns (height, width, 3) uint8 RGB in the size for the model."""
        if self._target.shrink_first is not None:
            # The shrink drops pixels of the frame as it is shown, so that has to be made whole first. The first
            # frame decides the size of all here, too.
            self._shown = self._shown or shown
            whole = Image.fromarray(self.whole(frame, self._shown, turn))
            return resize_picture(whole, self._target)
        self._size = self._size or smart_resize(*shown, self._target)
        return self.whole(frame, self._size, turn)

    def whole(self, frame: av.VideoFrame, size: tuple[int, int], turn: Orientation) -> NDArray[np.uint8]:
        """The frame cropped, upright, in RGB and in this (height, width)."""
        presentation = self.presentation
        frame = _cropped(frame, presentation)
        height, width = size[::-1] if turn.swaps_axes else size
        has_alpha = any(part.is_alpha for part in frame.format.components)
        layout = "rgba" if has_alpha else "rgb24"
        rgb: Any = self._reformatter.reformat(
            frame, width, height, layout, interpolation=PRECISE, threads=1, **colour.of_video(frame, presentation)
        )
        curve = colour.first_said(frame.color_trc, presentation.curve)
        primaries = colour.first_said(frame.color_primaries, presentation.primaries)
        pixels = colour.to_sdr(rgb.to_ndarray(), curve, primaries)
        if has_alpha:
            self.saw_transparency = self.saw_transparency or int(pixels[:, :, 3].min()) < 255
            pixels = _over_white(pixels)
        return turn.upright(pixels)


def _over_white(pixels: Any) -> NDArray[np.uint8]:
    """(height, width, 4) uint8 RGBA -> (height, width, 3)."""
    share = pixels[:, :, 3:].astype(np.uint16)
    return np.asarray((pixels[:, :, :3] * share + 255 * (255 - share) + 127) // 255, np.uint8)


def _cropped(frame: av.VideoFrame, presentation: Presentation) -> av.VideoFrame:
    """Without the sides that the container leaves out."""
    crop = presentation.crop_of(frame.width, frame.height)
    if not crop:
        return frame
    width, height = presentation.cropped_size(frame.width, frame.height)
    return filtered([frame], ("crop", f"w={width}:h={height}:x={crop.left_px}:y={crop.top_px}:exact=1"))[0]


def resize_picture(picture: Image.Image, target: Target) -> NDArray[np.uint8]:
    """An upright RGB picture -> (height, width, 3) uint8 in the size for the model, as in training."""
    if target.shrink_first is not None:
        picture = _shrunk(picture, target.shrink_first)
    picture = _enlarged(picture, target.enlarge_first_pixels)
    height, width = smart_resize(picture.height, picture.width, target)
    return np.ascontiguousarray(np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC)))


def _shrunk(picture: Image.Image, shrink: Shrink) -> Image.Image:
    """A picture above the area, brought down to it: both sides divided by sqrt(area / max_pixels), rounded down.

    What LLaMA-Factory, with which RealQA was trained, does to every picture before the model's own processor sees it
    (`image_resolution`, there with NEAREST). A side keeps at least one pixel.
    """
    area = picture.width * picture.height
    if area <= shrink.max_pixels:
        return picture
    factor = math.sqrt(shrink.max_pixels / area)
    size = (max(1, int(picture.width * factor)), max(1, int(picture.height * factor)))
    return picture.resize(size, _RESAMPLING[shrink.resample])


def _enlarged(picture: Image.Image, pixels: int) -> Image.Image:
    """A picture below the area, brought up to it: both sides times sqrt(pixels / area), rounded, at least one pixel.

    Interpolation is sharp on the way up and antialiasing is soft on the way down, and a model that saw small pictures
    on one way and large ones on the other takes that for a difference of the pictures.
    """
    area = picture.width * picture.height
    if area >= pixels:
        return picture
    factor = math.sqrt(pixels / area)
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.resize(size, Image.Resampling.BICUBIC)
