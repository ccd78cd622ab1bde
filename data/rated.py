"""Rated files: what people said of them, in the set's own units and on the common scale of the recipe.

Common scale: the paper normalises every set to [0, 10) and writes scores with three digits. Here
    score = min(9.99, round(10 * (mos - minimum) / (maximum - minimum), 2))
with the ends of the set's own scale, so that the largest MOS becomes 9.99 and not 10.0, which has four digits. A MOS
outside the set's scale is an error. The authors' code for this step is not public; any increasing line leaves SRCC
and PLCC as they are, but for the cap.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from assay.score import Scale
from data import published
from data.published import Listed
from data.tables import BadDataSet, existing

ABSENT = "absent.txt"
"""Lies in a set's root if somebody made it: names, one a line, of files that the owner of the copy knows to lack (some
of AVA's photos are gone from the web). They are left out, and `check` counts them."""


@dataclass(frozen=True)
class RatedFile:
    """A picture or video and its mean opinion score."""

    path: Path
    mos: float
    """In the set's own units."""
    score: float
    """Normalised: in [0, 10), two decimals."""
    is_video: bool


@dataclass(frozen=True)
class DataSet:
    """A set as published. Without a published split everything is `test`: the paper scores such sets, it never trains
    on them."""

    name: str
    scale: Scale
    """Of `mos`."""
    train: tuple[RatedFile, ...]
    test: tuple[RatedFile, ...]
    validation: tuple[RatedFile, ...] = ()
    """Only KonIQ-10k publishes one."""
    absent: int = 0
    """Files left out because absent.txt names them."""


def load(name: str, root: Path) -> DataSet:
    """Reads the set `name` that lies under `root`, every file of which must be there.

    BadDataSet: the name is not known (it lists those that are), a table or file is missing (it says where to get the
    set), a row cannot be read, a MOS lies outside the scale, or a file is listed twice.
    """
    if name not in published.SETS:
        raise BadDataSet(f"unknown data set {name!r}; known are {', '.join(published.SETS)}")
    about = published.SETS[name]
    existing(root, about.source)
    listed = about.read(root, about.source)
    left_out = _absent(root)
    usable = [each for each in listed if each.path.name not in left_out]
    _check(name, root, usable, about.source)
    parts = {part: tuple(_rated(each, about.scale) for each in usable if each.part == part) for part in published.PARTS}
    return DataSet(name, about.scale, parts["train"], parts["test"], parts["validation"], len(listed) - len(usable))


def normalised(mos: float, scale: Scale) -> float:
    """The formula above. BadDataSet if the MOS lies outside the scale."""
    if not scale.minimum <= mos <= scale.maximum:
        raise BadDataSet(f"a MOS of {mos} lies outside the scale {scale.minimum}..{scale.maximum}")
    return min(9.99, round(10 * (mos - scale.minimum) / (scale.maximum - scale.minimum), 2))


def held_out(dataset: DataSet, share: float = 0.2) -> DataSet:
    """A split for a set published without one: about `share` of the files are test, by the hash of the file's name, so
    that it is the same everywhere. Never the authors' split; do not compare its numbers with published ones."""
    if dataset.train:
        raise ValueError(f"{dataset.name} has a published split; use that")
    if not 0 < share < 1:
        raise ValueError(f"share must be in (0, 1), got {share = }")
    test = tuple(each for each in dataset.test if _draw(each.path.name) < share)
    train = tuple(each for each in dataset.test if _draw(each.path.name) >= share)
    return replace(dataset, train=train, test=test)


def pictures(
    name: str, root: Path, part: Literal["train", "test"], held_out_share: float | None = None
) -> tuple[RatedFile, ...]:
    """One part of a set of pictures, or of `held_out`'s split. BadDataSet as in `load`, and if there is none."""
    data_set = load(name, root)
    if held_out_share:
        data_set = held_out(data_set, held_out_share)
    files = data_set.train if part == "train" else data_set.test
    if not files or any(file.is_video for file in files):
        raise BadDataSet(f"{name} has no {part} split of pictures under {root}")
    return files


def _draw(name: str) -> float:
    """In [0, 1), from the name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64


def _absent(root: Path) -> set[str]:
    file = root / ABSENT
    return set(file.read_text(encoding="utf-8").split("\n")) - {""} if file.exists() else set()


def _check(name: str, root: Path, listed: Sequence[Listed], source: str) -> None:
    if not listed:
        raise BadDataSet(f"{root}: {name} lists no files")
    counted = Counter((each.part, each.path) for each in listed)
    (part, path), times = counted.most_common(1)[0]
    if times > 1:
        raise BadDataSet(f"{path} stands {times} times in the {part} part of {name}; it would count as often")
    missing = [each.path for each in listed if not each.path.exists()]
    if missing:
        raise BadDataSet(
            f"{missing[0]} is missing, and {len(missing) - 1} more of {len(listed)}; the data set comes from {source}"
            f" (name files that nobody has in {root / ABSENT}, one a line)"
        )


def _rated(listed: Listed, scale: Scale) -> RatedFile:
    try:
        score = normalised(listed.mos, scale)
    except BadDataSet as wrong:
        raise BadDataSet(f"{listed.where}: {wrong.message}") from wrong
    return RatedFile(listed.path, listed.mos, score, listed.path.suffix.lower() in published.VIDEO_SUFFIXES)
