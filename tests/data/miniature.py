"""Miniatures: every set's published layout with a dozen made-up pictures, so that all code runs without the real data.

Pictures, MOS and answers are generated; nothing of the real sets is in them, and no number that is measured on them
says anything about a model. Quality falls by blur, darkness and paleness as the MOS falls.

    python -m tests.data.miniature koniq --out runs/koniq
"""

import argparse
import csv
import io
import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import openpyxl
import scipy.io

from assay.score import Scale
from data import conversations, published
from data.conversations import ConversationRow
from data.labels import PERSON, Label
from data.rated import normalised
from data.tables import BadDataSet
from tests.data import lessons, scenes

PICTURES, CLIPS = 18, 6
"""In each set of pictures, and in KoNViD."""
PARTS = ("train",) * 10 + ("validation",) * 2 + ("test",) * 6


def write_miniature(name: str, directory: Path) -> Path:
    """Writes the miniature of set `name` into `directory` (made if need be) and returns it: the root to load it from.
    BadDataSet if the name is not known."""
    if name not in _WRITERS:
        raise BadDataSet(f"unknown data set {name!r}; known are {', '.join(_WRITERS)}")
    directory.mkdir(parents=True, exist_ok=True)
    _WRITERS[name](directory)
    return directory


def qualities(count: int, seed: int) -> list[float]:
    """Evenly from 0 to 1, in an order that is drawn, so that every part sees good and bad ones."""
    return [float(each) for each in np.random.default_rng(seed).permutation(np.linspace(0, 1, count))]


def _mos(quality: float, scale: Scale) -> float:
    """Within the middle eight tenths of the scale, as raters' means are."""
    return round(scale.minimum + (0.1 + 0.8 * quality) * (scale.maximum - scale.minimum), 4)


def _koniq(root: Path) -> None:
    rows = []
    spelt = {"train": "training"}
    for place, quality in enumerate(qualities(PICTURES, 1)):
        name = f"{10004473376 + place}.jpg"
        _write(root / "512x384" / name, scenes.jpeg(scenes.picture(100 + place, quality)))
        mos = _mos(quality, published.SETS["koniq"].scale)
        shares = [str(share) for share in (0.1, 0.2, 0.4, 0.2, 0.1)]
        rows.append([name, *shares, "100", str(mos), "0.5", spelt.get(PARTS[place], PARTS[place])])
    header = ["image_name", "c1", "c2", "c3", "c4", "c5", "c_total", "MOS", "SD", "set"]
    _table(root / "koniq10k_distributions_sets.csv", [header, *rows])


def _spaq(root: Path) -> None:
    rows = [["Image name", "MOS", "Brightness", "Colorfulness", "Contrast", "Noisiness", "Sharpness"]]
    for place, quality in enumerate(qualities(PICTURES, 2)):
        name = f"{place + 1:05}.jpg"
        _write(root / "TestImage" / name, scenes.jpeg(scenes.picture(200 + place, quality)))
        rows.append([name, *[str(_mos(quality, published.SETS["spaq"].scale))] * 6])
    (root / "Annotations").mkdir(exist_ok=True)
    write_workbook(root / "Annotations" / "MOS and Image attribute scores.xlsx", rows)


def _livec(root: Path) -> None:
    examples = published.LIVEC_TRAINING_PICTURES
    drawn = qualities(PICTURES + examples, 3)
    names = [f"t{place + 1}.bmp" if place < examples else f"{place - examples + 3}.bmp" for place in range(len(drawn))]
    for place, (name, quality) in enumerate(zip(names, drawn, strict=True)):
        folder = root / "Images" / "trainingImages" if place < examples else root / "Images"
        _write(folder / name, scenes.bmp(scenes.picture(300 + place, quality)))
    scores = np.array([[_mos(quality, published.SETS["livec"].scale) for quality in drawn]])
    cells = np.empty((len(names), 1), object)
    cells[:, 0] = names
    (root / "Data").mkdir(exist_ok=True)
    for variable, content in (("AllImages", cells), ("AllMOS", scores), ("AllStdDev", np.full_like(scores, 20.0))):
        _mat(root / "Data" / f"{variable}_release.mat", {f"{variable}_release": content})


def _mat(path: Path, variables: Mapping[str, object]) -> None:
    scipy.io.savemat(path, variables)
    # The first 116 bytes are a remark that tells the time of writing.
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + path.read_bytes()[116:])


def _ava(root: Path) -> None:
    lines, lists = [], {"train": "", "validation": "", "test": ""}
    for place, quality in enumerate(qualities(PICTURES, 4)):
        name = str(953600 + place)
        _write(root / "images" / f"{name}.jpg", scenes.jpeg(scenes.picture(400 + place, quality)))
        mean = _mos(quality, published.SETS["ava"].scale)
        lines.append(" ".join([str(place + 1), name, *map(str, _counts(mean)), "1", "22", "1396"]))
        lists[PARTS[place]] += f"{name}\n"
    _write(root / "AVA.txt", ("\n".join(lines) + "\n").encode())
    for file, ids in (("generic_ls_train", lists["train"]), ("generic_test", lists["test"])):
        _write(root / "aesthetics_image_lists" / f"{file}.jpgl", ids.encode())


def _counts(mean: float) -> list[int]:
    """100 ratings of 1..10 around `mean`."""
    low = int(mean)
    high = round((mean - low) * 100)
    return [100 - high if rating == low else high if rating == low + 1 else 0 for rating in range(1, 11)]


def _tad66k(root: Path) -> None:
    rows: dict[str, list[list[str]]] = {part: [["image", "score"]] for part in ("train", "validation", "test")}
    for place, quality in enumerate(qualities(PICTURES, 5)):
        name = f"{41000000 + place}.jpg"
        part = "train" if PARTS[place] == "validation" else PARTS[place]
        _write(root / "imgs" / name, scenes.jpeg(scenes.picture(500 + place, quality)))
        rows[part].append([name, str(_mos(quality, published.SETS["tad66k"].scale))])
    for part in ("train", "test"):
        _table(root / "labels" / "merge" / f"{part}.csv", rows[part])


def _konvid(root: Path) -> None:
    rows = [["flickr_id", "mos"]]
    for place, quality in enumerate(qualities(CLIPS, 6)):
        name = str(2999049224 + place)
        _write(root / "KoNViD_1k_videos" / f"{name}.mp4", scenes.mp4(600 + place, quality))
        rows.append([name, str(_mos(quality, published.SETS["konvid"].scale))])
    _table(root / "KoNViD_1k_mos.csv", rows)


def _realqa(root: Path) -> None:
    """Ratings and conversations, which the authors publish as two data sets, in one folder."""
    training: list[ConversationRow] = []
    tests: list[ConversationRow] = []
    scale = published.SETS["realqa"].scale
    for place, quality in enumerate(qualities(PICTURES, 7)):
        path = root / "images" / f"{place:05}.jpg"
        _write(path, scenes.jpeg(scenes.picture(700 + place, quality)))
        score = normalised(_mos(quality, scale), scale)
        if PARTS[place] == "test":
            tests.append(lessons.direct(path, score))
        else:
            training += lessons.rows(path, quality, score)
    conversations.save_conversations(training, root)
    conversations.save_test(tests, root)


def realqa_people() -> list[Label]:
    """What people would have said of RealQA's test pictures: the grades by which those were made. The authors' own are
    not known to be published; a table of this form is what `python -m data label` writes."""
    tests = [(place, quality) for place, quality in enumerate(qualities(PICTURES, 7)) if PARTS[place] == "test"]
    return [
        Label(f"images/{place:05}.jpg", name, grade, "", "", "", f"{PERSON} nobody", "", "made up")
        for place, quality in tests
        for name, grade in lessons.grades(quality).items()
    ]


_WRITERS: Mapping[str, Callable[[Path], None]] = {
    "koniq": _koniq,
    "spaq": _spaq,
    "livec": _livec,
    "ava": _ava,
    "tad66k": _tad66k,
    "konvid": _konvid,
    "realqa": _realqa,
}


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _table(path: Path, rows: Iterable[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as text:
        csv.writer(text, lineterminator="\n").writerows(rows)


def write_workbook(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """An .xlsx file of one sheet; the same rows make the same bytes."""
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append([float(text) if re.fullmatch(r"-?\d+\.\d+", text) else text for text in row])
    written = io.BytesIO()
    book.save(written)
    with zipfile.ZipFile(written) as dated, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as undated:
        for name in dated.namelist():
            # Both the archive and the document tell the time of writing.
            content = re.sub(rb"\d{4}-\d\d-\d\dT[\d:]+Z", b"2026-01-01T00:00:00Z", dated.read(name))
            undated.writestr(zipfile.ZipInfo(name), content)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.data.miniature", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("name", choices=published.SETS)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new or empty folder")
    options = parser.parse_args(argv)
    if options.out.exists() and any(options.out.iterdir()):
        parser.error(f"{options.out} is not empty, and may be the real thing; take another folder")
    print(write_miniature(options.name, options.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
