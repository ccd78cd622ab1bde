"""The seven rated sets in the layout in which their authors publish them: where names, scores and splits stand.

How sure each layout is, is said at each reader. "Read" means read in the authors' own files or readme; "by use" means
that many public programs read it so, and nobody here has held the authors' archive.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import scipy.io

from assay.score import Scale
from data import conversations
from data.tables import BadDataSet, csv_lines, existing, number, workbook_lines

PARTS = ("train", "validation", "test")
VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")


@dataclass(frozen=True, slots=True)
class Listed:
    """One file as a set's tables list it."""

    path: Path
    mos: float
    part: str
    """One of PARTS."""
    where: str
    """File and line, for complaints."""


Listing = list[Listed]


def koniq(root: Path, source: str) -> Listing:
    """koniq10k_distributions_sets.csv (read: image_name, c1..c5, c_total, MOS, SD, set) next to 1024x768/ or, if
    that is not there, 512x384/ (by use). `set` is training, validation or test."""
    table = existing(root / "koniq10k_distributions_sets.csv", source)
    pictures = root / "1024x768" if (root / "1024x768").exists() else root / "512x384"
    parts = {"training": "train", "validation": "validation", "test": "test"}
    listing = []
    for line in csv_lines(table, ("image_name", "MOS", "set")):
        if line.text("set") not in parts:
            raise BadDataSet(f"{line.where}: set is {line.text('set')!r}; it may be {', '.join(parts)}")
        part = parts[line.text("set")]
        listing.append(Listed(pictures / line.text("image_name"), line.number("MOS"), part, line.where))
    return listing


def spaq(root: Path, source: str) -> Listing:
    """Annotations/MOS and Image attribute scores.xlsx ("Image name", MOS, Brightness, Colorfulness, Contrast,
    Noisiness, Sharpness) and TestImage/ (by use; the authors' own pickImage.py and OutputErrorImages.py read it so). No
    split is published."""
    table = existing(root / "Annotations" / "MOS and Image attribute scores.xlsx", source)
    return [
        Listed(root / "TestImage" / line.text("Image name"), line.number("MOS"), "test", line.where)
        for line in workbook_lines(table, ("Image name", "MOS"))
    ]


LIVEC_TRAINING_PICTURES = 7
"""The first pictures of the list were shown to the raters to explain the task; they lie in Images/trainingImages/.
Every published number leaves them out, and so does this reader."""


def livec(root: Path, source: str) -> Listing:
    """Data/AllImages_release.mat, Data/AllMOS_release.mat and Images/ (the readme read in quotation: 1,162 test
    pictures and 7 training pictures, names and scores in the same order). No split is published."""
    names = [str(cell[0][0]) for cell in _mat(root / "Data" / "AllImages_release.mat", source)]
    scores = _mat(root / "Data" / "AllMOS_release.mat", source).reshape(-1)
    if len(names) != len(scores):
        raise BadDataSet(f"{root / 'Data'}: {len(names)} names and {len(scores)} scores; they must be as many")
    if len(names) <= LIVEC_TRAINING_PICTURES:
        raise BadDataSet(f"{root / 'Data'}: only {len(names)} names, of which {LIVEC_TRAINING_PICTURES} are examples")
    return [
        Listed(root / "Images" / name, float(mos), "test", f"{root / 'Data' / 'AllMOS_release.mat'}, {name}")
        for name, mos in list(zip(names, scores, strict=True))[LIVEC_TRAINING_PICTURES:]
    ]


def _mat(path: Path, source: str) -> Any:
    """The variable that is named like its file."""
    try:
        return scipy.io.loadmat(existing(path, source))[path.stem]
    except (ValueError, KeyError, NotImplementedError) as error:
        raise BadDataSet(f"{path} holds no MATLAB variable {path.stem}: {error}") from error


AVA_COLUMNS = 15


def ava(root: Path, source: str) -> Listing:
    """AVA.txt (read, its readme: index, image id, counts of the ratings 1..10, two tags, challenge; blanks between),
    aesthetics_image_lists/generic_ls_train.jpgl and generic_test.jpgl (read: one id a line), images/ID.jpg (by use; the
    authors publish no pictures). MOS is the mean rating. Ids of AVA.txt that are in neither list belong to no part."""
    means = dict(_ava_means(existing(root / "AVA.txt", source)))
    listing = []
    for part, file in (("train", "generic_ls_train.jpgl"), ("test", "generic_test.jpgl")):
        ids = existing(root / "aesthetics_image_lists" / file, source)
        for place, name in enumerate(ids.read_text(encoding="utf-8").split(), 1):
            if name not in means:
                raise BadDataSet(f"{ids}, line {place}: AVA.txt has no image {name}")
            listing.append(Listed(root / "images" / f"{name}.jpg", means[name], part, f"{ids}, line {place}"))
    return listing


def _ava_means(table: Path) -> Iterator[tuple[str, float]]:
    for place, row in enumerate(table.read_text(encoding="utf-8").splitlines(), 1):
        cells = row.split()
        if not cells:
            continue
        if len(cells) != AVA_COLUMNS:
            raise BadDataSet(f"{table}, line {place} has {len(cells)} columns; AVA.txt has {AVA_COLUMNS}")
        counts = [number(f"{table}, line {place}: count", cell) for cell in cells[2:12]]
        if min(counts) < 0 or not sum(counts):
            raise BadDataSet(f"{table}, line {place}: {cells[1]} has no ratings")
        yield cells[1], sum(rating * count for rating, count in enumerate(counts, 1)) / sum(counts)


def tad66k(root: Path, source: str) -> Listing:
    """labels/merge/train.csv and test.csv (columns image and score: read in the authors' data loader; the folder: by
    use, and their code says dataset/merge), pictures in imgs/ (by use)."""
    listing = []
    for part in ("train", "test"):
        table = existing(root / "labels" / "merge" / f"{part}.csv", source)
        listing += [
            Listed(root / "imgs" / line.text("image"), line.number("score"), part, line.where)
            for line in csv_lines(table, ("image", "score"))
        ]
    return listing


def konvid(root: Path, source: str) -> Listing:
    """KoNViD_1k_mos.csv (flickr_id, mos) and KoNViD_1k_videos/ID.mp4 (by use). An older archive with
    KoNViD_1k_attributes.csv, whose files have longer names, is not read. No split is published."""
    table = existing(root / "KoNViD_1k_mos.csv", source)
    return [
        Listed(root / "KoNViD_1k_videos" / f"{line.text('flickr_id')}.mp4", line.number("mos"), "test", line.where)
        for line in csv_lines(table, ("flickr_id", "mos"))
    ]


def realqa(root: Path, source: str) -> Listing:
    """The direct rows of the conversation files, whose answers end in the MOS: realqa_test.json (read: named in the
    authors' readme; the answer's wording in their evaluation) and realqa_training_decimal2.json (a guess after
    koniq10k_training_decimal2 in their settings). Pictures lie where the rows say, relative to `root`. The hub, where
    MingxingLi/RealQA lies, could not be reached from here, so its own table layout is not known."""
    listing = []
    for part, file in (("train", conversations.DIRECT_FILE), ("test", conversations.TEST_FILE)):
        for place, row in enumerate(conversations.read_file(existing(root / file, source), root), 1):
            where = f"{root / file}, row {place}"
            if row.score is None:
                raise BadDataSet(f"{where}: the answer {row.answer!r} holds no score")
            listing.append(Listed(row.path, row.score, part, where))
    return listing


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a set before it is read."""

    read: Callable[[Path, str], Listing]
    scale: Scale
    """Of its MOS."""
    source: str
    """Where a person gets it."""
    counts: Mapping[str, int]
    """Files per part, as published; empty parts are left out."""


SETS: Mapping[str, About] = {
    "koniq": About(
        koniq,
        # The published MOS are on a scale of about 1..100; 0 is taken as its end, so that a score is MOS / 10.
        Scale(0, 100),
        "https://database.mmsp-kn.de/koniq-10k-database.html (pictures) and https://github.com/subpic/koniq (sets)",
        {"train": 7058, "validation": 1000, "test": 2015},
    ),
    "spaq": About(spaq, Scale(0, 100), "https://github.com/h4nwei/SPAQ", {"test": 11125}),
    "livec": About(livec, Scale(0, 100), "https://live.ece.utexas.edu/research/ChallengeDB/", {"test": 1162}),
    "ava": About(
        ava,
        Scale(1, 10),
        "https://github.com/imfing/ava_downloader (the ratings and links to the pictures)",
        {"train": 235599, "test": 19930},
    ),
    "tad66k": About(
        tad66k,
        Scale(0, 10),
        "https://github.com/woshidandan/TANet-image-aesthetics-and-quality-assessment",
        {"train": 52248, "test": 14079},
    ),
    "konvid": About(konvid, Scale(1, 5), "https://database.mmsp-kn.de/konvid-1k-database.html", {"test": 1200}),
    "realqa": About(
        realqa,
        # The labels in the conversation files are normalised already.
        Scale(0, 10),
        "https://huggingface.co/datasets/MingxingLi/RealQA-conversation (rows) and MingxingLi/RealQA (pictures)",
        {"train": 13712, "test": 1003},
    ),
}
