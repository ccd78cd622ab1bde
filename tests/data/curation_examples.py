"""Generated examples for the curation filters, and how well these do on them: precision and recall, and no more.

Half of the clean pictures are hard on purpose: a horizon, a striped wall, a picture with one strong edge. Thresholds
were set on seed 0. On seed 1, 100 of each kind, precision and recall are 1.00 and 1.00 for subtitles (white with a
black outline), 1.00 and 1.00 for watermarks (a faint word, tiled), 0.95 and 1.00 for seams; real pictures are harder,
and no number was measured on them.

    python -m tests.data.curation_examples --seed 1 --count 100
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from data import curation
from tests.data import scenes

WIDTH_PX, HEIGHT_PX = 384, 288
_WORDS = ("we have to leave now", "where did you put it", "it was never the same", "look at the light")


def clean(number: int) -> Image.Image:
    """A scene, soft grained; of every six, one has a horizon, one stripes and one a light edge down its middle."""
    rng = np.random.default_rng(number)
    drawn = scenes.scene(number, WIDTH_PX, HEIGHT_PX)
    pen = ImageDraw.Draw(drawn)
    match number % 6:
        case 1:
            pen.rectangle((0, 0, WIDTH_PX, int(HEIGHT_PX * 0.45)), fill=(190, 210, 235))
            pen.ellipse((40, 60, 150, 200), fill=(60, 80, 50))
            pen.ellipse((190, 80, 330, 190), fill=(80, 70, 60))
        case 3:
            for x in range(20, WIDTH_PX // 2, 24):
                pen.line((x, HEIGHT_PX // 3, x + 4, HEIGHT_PX), fill=(200, 200, 200), width=3)
        case 5:
            pen.rectangle((WIDTH_PX // 2, HEIGHT_PX // 4, WIDTH_PX, HEIGHT_PX), fill=(235, 235, 230))
    soft = np.asarray(drawn.filter(ImageFilter.GaussianBlur(0.8)), np.float32)
    return Image.fromarray(np.clip(soft + rng.normal(0, 3, soft.shape), 0, 255).astype(np.uint8))


def subtitled(number: int) -> Image.Image:
    """White, black-outlined words near the lower edge."""
    picture = clean(number)
    rng = np.random.default_rng(number + 1)
    font = ImageFont.load_default(size=int(rng.integers(15, 24)))
    at = (WIDTH_PX / 2, HEIGHT_PX * float(rng.uniform(0.82, 0.94)))
    text = _WORDS[number % len(_WORDS)]
    ImageDraw.Draw(picture).text(at, text, (255, 255, 255), font, "mm", stroke_width=2, stroke_fill=(0, 0, 0))
    return picture


def watermarked(number: int) -> Image.Image:
    """A faint word, repeated over the whole picture."""
    picture = clean(number).convert("RGBA")
    rng = np.random.default_rng(number + 2)
    font = ImageFont.load_default(size=int(rng.integers(14, 22)))
    layer = Image.new("RGBA", picture.size)
    pen = ImageDraw.Draw(layer)
    strength = int(rng.integers(70, 130))
    across, down = int(rng.integers(80, 120)), int(rng.integers(40, 70))
    for y in range(-10, HEIGHT_PX, down):
        for x in range(-10, WIDTH_PX, across):
            pen.text((x, y), "SAMPLE", (255, 255, 255, strength), font)
    return Image.alpha_composite(picture, layer).convert("RGB")


def stitched(number: int) -> Image.Image:
    """Two scenes side by side or one above the other; every third has a white line between."""
    one, other = clean(number), clean(number + 5000)
    rng = np.random.default_rng(number + 3)
    at = float(rng.uniform(0.3, 0.7))
    box = (int(WIDTH_PX * at), 0) if number % 2 else (0, int(HEIGHT_PX * at))
    joined = one.copy()
    joined.paste(other.crop((0, 0, WIDTH_PX - box[0], HEIGHT_PX - box[1])), box)
    if number % 3 == 0:
        end = (box[0], HEIGHT_PX) if number % 2 else (WIDTH_PX, box[1])
        ImageDraw.Draw(joined).line((box, end), fill=(255, 255, 255), width=4)
    return joined


MADE: Mapping[str, Callable[[int], Image.Image]] = {
    "subtitle": subtitled,
    "watermark": watermarked,
    "stitched": stitched,
}
"""Filter -> what it is to find."""


@dataclass(frozen=True, slots=True)
class Skill:
    """How one filter did on generated examples, the other two kinds counting as clean for it."""

    found: int
    """Of `positives`, flagged rightly."""
    positives: int
    wrong: int
    """Of `negatives`, flagged wrongly."""
    negatives: int

    @property
    def precision(self) -> float:
        """With as many examples as were made; 1.0 if nothing was flagged."""
        return self.found / (self.found + self.wrong) if self.found + self.wrong else 1.0

    @property
    def recall(self) -> float:
        return self.found / self.positives


def measure(seed: int, count: int) -> dict[str, Skill]:
    """`count` clean pictures and as many of each kind."""
    tally = {name: [0, 0, 0, 0] for name in MADE}
    for kind, picture in _examples(seed, count):
        flagged = curation.flags(curation.statistics(picture))
        for name, numbers in tally.items():
            place = 0 if kind == name else 2
            numbers[place] += name in flagged
            numbers[place + 1] += 1
    return {name: Skill(*numbers) for name, numbers in tally.items()}


def _examples(seed: int, count: int) -> Iterator[tuple[str, Image.Image]]:
    for place in range(count):
        number = seed * 100_000 + place
        yield "", clean(number)
        for kind, make in MADE.items():
            yield kind, make(number + 10_000)


def main() -> None:
    reported = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m tests.data.curation_examples", description=reported)
    parser.add_argument("--seed", type=int, default=1, help="the thresholds were set on seed 0 (default: %(default)s)")
    parser.add_argument("--count", type=int, default=60, help="pictures of each kind (default: %(default)s)")
    options = parser.parse_args()
    print("filter     precision  recall  (found/positives, wrong/negatives), generated examples only")
    for name, skill in measure(options.seed, options.count).items():
        counts = f"({skill.found}/{skill.positives}, {skill.wrong}/{skill.negatives})"
        print(f"{name:10} {skill.precision:9.3f} {skill.recall:7.3f}  {counts}")


if __name__ == "__main__":
    main()
