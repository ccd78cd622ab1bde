"""Truth: which grade a photo deserves once it has been damaged by a known amount.

The rule is stated here, in visible units, and knows nothing of how any model was trained. It supposes a photo that
had nothing wrong with it to begin with; evaluation/sound.py says which photos those are.

blur        The sigma of a Gaussian, in pixels of a photo whose shorter side is 512. It leaves half of the contrast at
            0.187 / sigma cycles a pixel, as sharp as a thumbnail of 192 / sigma lines. Very clear: 300 lines and more;
            each grade below has 2.5 times fewer lines than the one above (120, 48).
jpeg        libjpeg's quality at the photo's own size: from 60 hardly visible, from 25 visible on a second look, from 8
            visible at once, below that blocks are what one sees.
exposure    EV in linear light. Up to half a stop is proper, more than two stops is fully under- or overexposed.
saturation  Factor on the distance from grey. Each border lies half-way (by ratio) between no change, about twice and
            about four times as much colour; on the other side no change, 0.4 and 0.1 of it.
rotation    Degrees. A camera turned by less than 1 is level, by 3 or more it is not; nothing in between is asked.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from assay.attribute import KINDS
from evaluation.ladder import damaged, encoded

LARGEST_TURN_DEGREES = 8.0


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of damage: what it is graded as, and how much of it is asked about."""

    attribute: str
    borders: tuple[float, ...]
    """Rising strengths; a strength on a border has the grade above it."""
    grades: tuple[str, ...]
    """By rising strength, one more than there are borders."""
    strengths: tuple[float, ...]
    """That are asked, besides the photo as it was: the middle of each grade."""

    def grade(self, strength: float) -> str:
        """The grade that a photo with this much damage deserves."""
        return self.grades[bisect_right(self.borders, strength)]


_CLARITY = KINDS["clarity"].grades
RULES: Mapping[str, Rule] = {
    "blur": Rule("clarity", (0.64, 1.6, 4.0), _CLARITY[::-1], (1.0, 2.5, 6.3)),
    "jpeg": Rule("clarity", (8.0, 25.0, 60.0), _CLARITY, (40.0, 15.0, 4.0)),
    "exposure": Rule("exposure", (-2.0, -0.5, 0.5, 2.0), KINDS["exposure"].grades, (-3.0, -1.25, 1.25, 3.0)),
    "saturation": Rule("saturation", (0.2, 0.63, 1.4, 2.6), KINDS["saturation"].grades, (0.1, 0.4, 2.0, 3.5)),
}
UNDAMAGED = {"clarity": "very clear", "exposure": "properly exposed", "saturation": "medium"}
TURNS_DEGREES = (0.0, -3.0, 3.0, -5.0, 5.0, -8.0, 8.0)


def level_shot(degrees: float) -> str:
    """ValueError between 1 and 3 degrees, where nobody could say."""
    if 1.0 <= abs(degrees) < 3.0:
        raise ValueError(f"a turn of {degrees} degrees is neither level nor tilted")
    return "yes" if abs(degrees) < 1.0 else "no"


def damaged_file(picture: Image.Image, damage: str, strength: float) -> bytes:
    """The photo with that much damage, at its size; PNG, so that nothing else differs, but for JPEG's own."""
    if damage == "jpeg":
        return encoded(picture, "JPEG", quality=int(strength))
    kind = {"blur": "blur", "exposure": "overexposure", "saturation": "desaturation"}[damage]
    return encoded(damaged(picture, kind, strength), "PNG")


def turned(picture: Image.Image, degrees: float) -> Image.Image:
    """As a camera sees it that is turned by so much: without black corners, of the same size for every turn.

    The size is that of the largest crop of the photo's aspect that fits into it when turned by 8 degrees. Half a pixel
    of shift makes the level photo pass through the same interpolation, so that softness gives nothing away.
    """
    if abs(degrees) > LARGEST_TURN_DEGREES:
        raise ValueError(f"turns are at most {LARGEST_TURN_DEGREES} degrees, got {degrees = }")
    whole = picture.rotate(degrees, Image.Resampling.BICUBIC, translate=(0.5, 0.5))  # type: ignore[arg-type]  # any numbers will do
    width, height = picture.size
    sine, cosine = np.sin(np.radians(LARGEST_TURN_DEGREES)), np.cos(np.radians(LARGEST_TURN_DEGREES))
    # Less 2 pixels for the interpolation's own border.
    inner_share = min(height / (width * sine + height * cosine), width / (width * cosine + height * sine))
    w, h = int(width * inner_share) - 2, int(height * inner_share) - 2
    left, top = (width - w) // 2, (height - h) // 2
    return whole.crop((left, top, left + w, top + h))
