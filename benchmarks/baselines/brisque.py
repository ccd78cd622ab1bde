"""BRISQUE (Mittal, Moorthy, Bovik, 2012): natural scene statistics and a support vector regression.

The package `brisque` (Apache-2.0) carries the authors' features and a model trained on LIVE; nothing is fitted here.
It is optional, because it brings OpenCV and scikit-image and builds libsvm: `pip install -e '.[benchmarks]'`.
"""

import importlib
import sys
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.photos import Photo

INSTALL = "pip install -e '.[benchmarks]' -c constraints.txt"


class MethodUnavailable(Exception):
    """The method cannot be run here; the message says why and what to do."""


def scores(photos: Sequence[Photo]) -> NDArray[np.float64]:
    """Higher is better: BRISQUE says distortion, about 0 (none) to 100, and its sign is turned here.

    Of the photos as they lie in the archive, whatever their size. MethodUnavailable if the package is not installed.
    """
    try:
        module = importlib.import_module("brisque")
    except ImportError as error:
        raise MethodUnavailable(f"not installed ({error.name} is missing): {INSTALL}") from error
    judge = module.BRISQUE()
    found = []
    for done, photo in enumerate(photos, start=1):
        with warnings.catch_warnings():
            # It turns arrays of one element into numbers, which numpy 1.25 and later deplore.
            warnings.simplefilter("ignore", DeprecationWarning)
            found.append(-float(judge.score(photo.decode())))
        if done % 50 == 0 or done == len(photos):
            print(f"BRISQUE {done} of {len(photos)}", file=sys.stderr)
    return np.array(found)
