"""Split checks: does a copy of a set hold what its authors published, and does nothing stand on both sides?"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data import near
from data.published import PARTS, SETS
from data.rated import DataSet, RatedFile

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Leak:
    """A file of one part that stands, or something just like it, in another."""

    kind: str
    """"path", "name" (same name in another folder), "bytes" or "near"."""
    part: str
    file: str
    other_part: str
    other_file: str
    bits: int = 0
    """How many of 64 bits differ; 0 but for "near"."""


@dataclass(frozen=True)
class Report:
    """What a check found. `complaints` is empty if all is as published."""

    name: str
    counts: dict[str, int]
    published_counts: dict[str, int]
    absent: int
    sha256: dict[str, str]
    """Of each part's file names, sorted, one a line: equal hashes mean equal parts."""
    leaks: list[Leak]
    not_compared: int
    """Videos, whose frames are not decoded here; they are compared by name and bytes alone."""
    complaints: list[str]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def check(dataset: DataSet, compare_pictures: bool, progress: Progress = lambda _: None) -> Report:
    """Counts, hashes and leaks. `compare_pictures` reads every file: bytes, and near duplicates among pictures."""
    parts = {part: files for part in PARTS if (files := getattr(dataset, part))}
    counts = {part: len(files) for part, files in parts.items()}
    leaks = list(_named_twice(parts))
    videos = 0
    if compare_pictures:
        leaks += _same_bytes(parts, progress)
        leaks += _look_alike(parts, progress)
        videos = sum(each.is_video for files in parts.values() for each in files)
    wanted = dict(SETS[dataset.name].counts)
    complaints = [
        f"{part} has {counts.get(part, 0)} files, {wanted.get(part, 0)} are published"
        for part in PARTS
        if counts.get(part, 0) != wanted.get(part, 0)
    ]
    complaints += [f"{_count(leaks, kind)} pairs with the same {kind}" for kind in KINDS if _count(leaks, kind)]
    hashes = {part: names_hash(files) for part, files in parts.items()}
    return Report(dataset.name, counts, wanted, dataset.absent, hashes, leaks, videos, complaints)


KINDS = ("path", "name", "bytes", "near")


def names_hash(files: Iterable[RatedFile]) -> str:
    """SHA-256 of the sorted file names, one a line."""
    return hashlib.sha256(
        "".join(f"{name}\n" for name in sorted(each.path.name for each in files)).encode()
    ).hexdigest()


def differences(report: Report, earlier: dict[str, Any]) -> list[str]:
    """How the parts differ from those of an earlier report, in words; empty if they are the same."""
    parts = sorted({*report.sha256, *earlier["sha256"]})
    return [
        f"{part} has not the file names that it had"
        for part in parts
        if report.sha256.get(part) != earlier["sha256"].get(part)
    ]


def _count(leaks: Sequence[Leak], kind: str) -> int:
    return sum(leak.kind == kind for leak in leaks)


def _named_twice(parts: dict[str, tuple[RatedFile, ...]]) -> Iterable[Leak]:
    for one, files, other, others in _pairs(parts):
        by_name = {each.path.name: each.path for each in others}
        for each in files:
            if twin := by_name.get(each.path.name):
                kind = "path" if twin == each.path else "name"
                yield Leak(kind, one, str(each.path), other, str(twin))


def _same_bytes(parts: dict[str, tuple[RatedFile, ...]], progress: Progress) -> Iterable[Leak]:
    by_hash: dict[str, list[tuple[str, Path]]] = defaultdict(list)
    for part, files in parts.items():
        for place, each in enumerate(files):
            by_hash[hashlib.sha256(each.path.read_bytes()).hexdigest()].append((part, each.path))
            _tell(progress, f"{part}: bytes", place, len(files))
    for same in by_hash.values():
        (part, file), *rest = same
        for other_part, other_file in rest:
            # The same file listed in two parts is reported as a path already.
            if other_part != part and other_file != file:
                yield Leak("bytes", part, str(file), other_part, str(other_file))


def _look_alike(parts: dict[str, tuple[RatedFile, ...]], progress: Progress) -> Iterable[Leak]:
    pictures = {part: [each.path for each in files if not each.is_video] for part, files in parts.items()}
    hashes: dict[str, list[int]] = {}
    for part, paths in pictures.items():
        hashes[part] = []
        for place, path in enumerate(paths):
            hashes[part].append(near.difference_hash(path))
            _tell(progress, f"{part}: looks", place, len(paths))
    for one, _, other, _ in _pairs(parts):
        for here, there, bits in near.alike(hashes[one], hashes[other]):
            if pictures[one][here] != pictures[other][there]:
                yield Leak("near", one, str(pictures[one][here]), other, str(pictures[other][there]), bits)


def _pairs(
    parts: dict[str, tuple[RatedFile, ...]],
) -> Iterable[tuple[str, tuple[RatedFile, ...], str, tuple[RatedFile, ...]]]:
    names = list(parts)
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            yield one, parts[one], other, parts[other]


def _tell(progress: Progress, what: str, place: int, total: int) -> None:
    if (place + 1) % 1000 == 0 or place + 1 == total:
        progress(f"{what} {place + 1} of {total}")
