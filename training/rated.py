"""Rated photos: what people said of them, evened out by what the teacher says; the teacher's word where nobody did."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training import photos, teacher
from training.batches import Rated
from training.photos import Photo
from training.taps import Taps

_PEOPLE_SHARE = 0.6
"""Of a label, where people rated the photo; the rest is the teacher's word. A mean of some 25 ratings is uncertain."""
_NATIVE_SHARE = 0.2
"""Of the weight in the teacher's regression, of photos rated at native size."""
_LADDERS_EACH, _LADDER_PHOTOS = 3, 150
# Mean and spread of a label, 1..5, of the photos that were not rated on PARA's scale: they are brought to it.
_CENTRE, _SPREAD = (3.2, 3.3), (0.65, 0.6)


@dataclass(frozen=True, slots=True)
class Gallery:
    """All photos to train on; tables have one row per photo of the data folder, PARA's first."""

    rated: list[Rated]
    """Without the held-out ones."""
    features: NDArray[np.float32]
    """(photos, 784), the teacher's taps."""
    logits: NDArray[np.float32]
    """(photos, 1000), the teacher's ImageNet classes."""
    judge: teacher.TapRegression
    held_out: list[Rated] = field(default_factory=list)


def gallery(data: Path, runs: Path, is_open: bool = False) -> Gallery:
    """Reads the data folder; what the teacher sees in it (minutes) is cached in runs.

    is_open: only photos that may be used commercially; the teacher's judgement then knows no ratings, only ranks along
    damage.
    """
    rated = () if is_open else (*photos.para_photos(data), *photos.native_photos(data))
    every = (*rated, *photos.open_photos(data))
    features, logits, ranked = _features(every, runs)
    learnt = np.array([not photo.is_held_out for photo in every])
    source = np.array([photo.source for photo in every])
    said = np.array([[photo.mos or 0, photo.quality or 0] for photo in every], np.float64)
    shares = {"rated": 1 - _NATIVE_SHARE, "native": _NATIVE_SHARE} if "native" in source else {"rated": 1.0}
    groups = [
        (features[at], said[at], share) for name, share in shares.items() if (at := learnt & (source == name)).any()
    ]
    judge = teacher.TapRegression(groups, ranked, features[learnt])
    labels = _labels(judge(features), said, source, learnt)
    rows = [
        Rated(photo, row, float(looks), float(quality))
        for row, (photo, (looks, quality)) in enumerate(zip(every, labels, strict=True))
    ]
    taught, held_out = ([row for row in rows if row.photo.is_held_out is held] for held in (False, True))
    return Gallery(taught, features, logits, judge, held_out)


def _features(every: Sequence[Photo], runs: Path) -> tuple[teacher.Floats, teacher.Floats, teacher.Ranked]:
    def features_of(taps: Taps) -> dict[str, NDArray[np.generic]]:
        features, logits = teacher.look(every, taps)
        learnt = [photo for photo in every if not photo.is_held_out]
        climbed = [photo for photo in learnt if photo.source == "open"]
        climbed += [photo for photo in learnt if photo.source == "native"][:_LADDER_PHOTOS]
        ranked = teacher.ladders(climbed, taps, _LADDERS_EACH)
        return {"features": features, "logits": logits.astype(np.float16), "ladders": ranked.means}

    found = teacher.cached(every, runs, features_of)
    return found["features"], found["logits"].astype(np.float32), teacher.Ranked(found["ladders"])


def _labels(
    judged: NDArray[np.float64], said: NDArray[np.float64], source: NDArray[np.str_], learnt: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(photos, 2) looks and quality, 1..5. Every collection's labels keep the order that its people gave them."""
    labels = np.empty_like(judged)
    for name in sorted(set(source)):
        here = source == name
        known = here & learnt
        guessed = (judged[here] - judged[known].mean(0)) / judged[known].std(0)
        if name == "open":
            labels[here] = np.array(_CENTRE) + 0.2 + guessed * _SPREAD
            continue
        centre, spread = said[known].mean(0), said[known].std(0)
        own = (said[here] - centre) / spread
        mixed = _PEOPLE_SHARE * own + (1 - _PEOPLE_SHARE) * guessed
        mixed /= mixed.std(0)
        centre, spread = (centre, spread) if name == "rated" else (np.array(_CENTRE), np.array(_SPREAD))
        labels[here] = centre + mixed * spread
    return np.clip(labels, 1, 5)
