"""Make `demo/video.mp4`: `python demo/make_video.py PHOTO PHOTO PHOTO VIDEO`.

A slow pan through three photos, 10 s. From 3.8 s to 6.2 s, in the middle of the second, the picture is out of focus
and underexposed, so that a timeline of scores has something to show. See SOURCES.md for the photos.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

WIDTH_PX, HEIGHT_PX = 640, 360
FRAMES_PER_SECOND = 25
SECONDS = 10.0
FADE_SECONDS = 0.4
BAD_FROM_SECONDS, BAD_TO_SECONDS = 3.8, 6.2
BLUR_RADIUS_PX = 6.0
EXPOSURE = 0.45
# Start and end of each pan: centre (x, y) and width of the view, as parts of the photo's width and height.
PANS = (
    ((0.42, 0.45, 0.80), (0.58, 0.52, 0.92)),
    ((0.55, 0.38, 0.92), (0.45, 0.55, 0.78)),
    ((0.45, 0.50, 0.95), (0.47, 0.48, 0.80)),
)


def view(photo: Image.Image, pan: tuple[tuple[float, ...], tuple[float, ...]], progress: float) -> Image.Image:
    """The part of the photo that is shown when `progress` (0..1) of the pan is done, 640 x 360."""
    ease = progress * progress * (3 - 2 * progress)
    x, y, width = (start + (end - start) * ease for start, end in zip(*pan, strict=True))
    w = width * photo.width
    h = w * HEIGHT_PX / WIDTH_PX
    left = min(max(x * photo.width - w / 2, 0), photo.width - w)
    top = min(max(y * photo.height - h / 2, 0), photo.height - h)
    box = (left, top, left + w, top + h)
    return photo.resize((WIDTH_PX, HEIGHT_PX), Image.Resampling.LANCZOS, box=box)


def badness(seconds: float) -> float:
    """0: as it should be, 1: fully out of focus and dark; half a second in between."""
    rise = np.clip((seconds - BAD_FROM_SECONDS) / 0.5, 0, 1)
    fall = np.clip((BAD_TO_SECONDS - seconds) / 0.5, 0, 1)
    return float(min(rise, fall))


def frames(photos: list[Image.Image]) -> Iterator[Image.Image]:
    """Every frame, in order."""
    part = SECONDS / len(photos)
    for i in range(round(SECONDS * FRAMES_PER_SECOND)):
        seconds = i / FRAMES_PER_SECOND
        index = min(int(seconds / part), len(photos) - 1)
        picture = view(photos[index], PANS[index], seconds / part - index)
        left = (index + 1) * part - seconds
        if left < FADE_SECONDS and index + 1 < len(photos):
            picture = Image.blend(picture, view(photos[index + 1], PANS[index + 1], 0.0), 1 - left / FADE_SECONDS)
        bad = badness(seconds)
        if bad > 0:
            picture = picture.filter(ImageFilter.GaussianBlur(BLUR_RADIUS_PX * bad))
            picture = ImageEnhance.Brightness(picture).enhance(1 - (1 - EXPOSURE) * bad)
        yield picture


def main(photo_paths: list[str], video_path: str) -> None:
    photos = [Image.open(path).convert("RGB") for path in photo_paths]
    with av.open(video_path, "w", format="mp4", options={"movflags": "faststart"}) as out:
        stream = out.add_stream("libx264", rate=FRAMES_PER_SECOND, options={"crf": "22", "preset": "slow", "g": "50"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        stream.codec_context.thread_count = 1  # the same bytes on every machine
        for picture in frames(photos):
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    print(f"{video_path}: {Path(video_path).stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(sys.argv[1:4], sys.argv[4])
