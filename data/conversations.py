"""RealQA-conversation: questions and answers about pictures, in the layout in which the authors publish them.

Read in the authors' readme and settings: JSON files of LLaMA-Factory rows in one folder, the names of the 13 files of
stage 1, names of the form SET_training_decimal2[_cot] for stage 2 and SET_test for evaluation, and the direct answer's
"score of this image is 3.98." The hub could not be reached from here, so what stands inside a file is assumed to be
what LLaMA-Factory documents: a list of {"messages": [{"role", "content"}, ...], "images": [path]} (its other spelling,
{"conversations": [{"from", "value"}, ...], "images"}, is read as well), with <image> in front of the question, and
paths relative to the folder. What follows the placeholder is the question to the letter: the space of the paper's
"<image> Rate ... with the regular form." is a token that the model was trained on, and that is served.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.tables import BadDataSet, existing

_STEM = "aesthetic_low_and_middle_9502_and_4300_llm_en"
STAGE_1_FILES: Mapping[str, str] = {
    "mix": "aesthetic_high_and_low_9502_4300_llm_fusion_en_new_high_mid_low_new_simple.json",
    "high": f"{_STEM}_both_high_en.json",
    "middle": f"{_STEM}_both_mid_en.json",
    "low": f"{_STEM}_both_low_en.json",
    "composition": f"{_STEM}_composition_score_new_simple.json",
    "eye_catching": f"{_STEM}_eye_score_new_simple.json",
    "subject_integrity": f"{_STEM}_subject_and_subject_integrity_new_simple.json",
    "subject_clutter": f"{_STEM}_subject_and_subject_clutter_new_simple.json",
    "background_clutter": f"{_STEM}_background_and_background_clutter_new_simple.json",
    "level_shot": f"{_STEM}_level_shot_new_simple.json",
    "exposure": f"{_STEM}_exposure_new_simple.json",
    "clarity": f"{_STEM}_clearness_new_simple.json",
    "saturation": f"{_STEM}_saturation_new_simple.json",
}
"""Task -> file, the 13 sets of stage 1 (read: examples/RealQA/all_fuse_training.yaml). Subject and background,
which are named in words, stand in the answers of the tasks about them."""
DIRECT_FILE = "realqa_training_decimal2.json"
COT_FILE = "realqa_training_decimal2_cot.json"
TEST_FILE = "realqa_test.json"
SOURCE = "https://huggingface.co/datasets/MingxingLi/RealQA-conversation"

_SCORE = re.compile(r"(?:<|score of this (?:image|video) is )(\d+(?:\.\d+)?)(?:>|\.?\s*$)")
_PLACEHOLDER = re.compile(r"<(?:image|video)>")
_ASKER, _ANSWERER = ("user", "human"), ("assistant", "gpt")


@dataclass(frozen=True)
class ConversationRow:
    """One question about one picture, and its answer."""

    path: Path
    question: str
    """What follows the placeholder of the picture, its spaces included."""
    answer: str
    task: str
    """Stage 1: mix, high, middle, low, or an attribute's name; stage 2: direct, regular or natural."""
    score: float | None = None
    """In [0, 10), as the answer writes it; None in stage 1."""


def load_conversations(root: Path) -> tuple[ConversationRow, ...]:
    """All training rows of RealQA, stage 1 first. BadDataSet names a file that is missing or a row that cannot be read.

    Rows of other sets (koniq10k_…, ava_…) and all test rows stay out; read_file reads such a file.
    """
    rows: list[ConversationRow] = []
    for task, file in STAGE_1_FILES.items():
        rows += _read(existing(root / file, SOURCE), root, task)
    for file in (DIRECT_FILE, COT_FILE):
        rows += read_file(existing(root / file, SOURCE), root)
    return tuple(rows)


def read_file(file: Path, root: Path) -> tuple[ConversationRow, ...]:
    """Rows of a file of stage 2 or of tests: the question says whether the answer is direct, regular or natural."""
    return _read(file, root, "")


def save_conversations(rows: Iterable[ConversationRow], root: Path) -> None:
    """Writes all files of the layout, those without rows too, and dataset_info.json, by which LLaMA-Factory finds them.
    Pictures are named relative to `root`, or in full where they lie elsewhere."""
    files: dict[str, list[dict[str, Any]]] = {file: [] for file in (*STAGE_1_FILES.values(), DIRECT_FILE, COT_FILE)}
    for row in rows:
        files[_file(row.task)].append(_entry(row, root))
    root.mkdir(parents=True, exist_ok=True)
    for file, entries in files.items():
        write_json(root / file, entries)
    write_json(root / "dataset_info.json", {file.removesuffix(".json"): _info(file) for file in files})


def save_test(rows: Iterable[ConversationRow], root: Path) -> None:
    """Writes the test file: direct rows only."""
    write_json(root / TEST_FILE, [_entry(row, root) for row in rows])


def score_of(answer: str) -> float | None:
    """The number in "<6.59>" or at the end of "score of this image is 6.59."; None if there is neither."""
    found = _SCORE.search(answer)
    return float(found.group(1)) if found else None


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _file(task: str) -> str:
    if task in STAGE_1_FILES:
        return STAGE_1_FILES[task]
    if task == "direct":
        return DIRECT_FILE
    if task in ("regular", "natural"):
        return COT_FILE
    raise ValueError(f"unknown task {task!r}; known are {', '.join(STAGE_1_FILES)}, direct, regular, natural")


def _entry(row: ConversationRow, root: Path) -> dict[str, Any]:
    picture = row.path.relative_to(root) if row.path.is_relative_to(root) else row.path
    asked = {"role": "user", "content": f"<image>{row.question}"}
    return {"messages": [asked, {"role": "assistant", "content": row.answer}], "images": [picture.as_posix()]}


def _info(file: str) -> dict[str, Any]:
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    columns = {"messages": "messages", "images": "images"}
    return {"file_name": file, "formatting": "sharegpt", "columns": columns, "tags": tags}


def _read(file: Path, root: Path, task: str) -> tuple[ConversationRow, ...]:
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BadDataSet(f"{file} is no JSON file: {error}") from error
    if not isinstance(entries, list):
        raise BadDataSet(f"{file} holds no list of conversations")
    return tuple(_row(f"{file}, row {place}", entry, root, task) for place, entry in enumerate(entries, 1))


def _row(where: str, entry: Any, root: Path, task: str) -> ConversationRow:
    question, answer = _turns(where, entry)
    images = entry.get("images", entry.get("videos"))
    if not isinstance(images, list) or len(images) != 1 or not isinstance(images[0], str):
        raise BadDataSet(f"{where}: one picture is needed, got {images!r}")
    question = _behind_placeholder(where, question)
    if task:
        return ConversationRow(root / images[0], question, answer, task, None)
    score = score_of(answer)
    if score is None:
        raise BadDataSet(f"{where}: the answer {answer!r} holds no score")
    return ConversationRow(root / images[0], question, answer, _task(question), score)


def _behind_placeholder(where: str, asked: str) -> str:
    """Here a picture always stands in front of its question; elsewhere in the text it would be another prompt."""
    before, *behind = _PLACEHOLDER.split(asked)
    if len(behind) > 1 or (behind and before):
        raise BadDataSet(f"{where}: the picture's one placeholder stands in front of the question, got {asked!r}")
    return behind[0] if behind else before


def _turns(where: str, entry: Any) -> Sequence[str]:
    """The one question and its one answer, in either of LLaMA-Factory's spellings; a system turn is left out."""
    turns = entry.get("messages", entry.get("conversations")) if isinstance(entry, dict) else None
    texts: list[str] = []
    for turn in turns if isinstance(turns, list) else ():
        if not isinstance(turn, dict):
            raise BadDataSet(f"{where}: {turn!r} is no turn of a question and its answer")
        speaker, text = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
        if speaker != "system":
            if speaker not in (_ASKER if len(texts) % 2 == 0 else _ANSWERER) or not isinstance(text, str):
                raise BadDataSet(f"{where}: {turn!r} is no turn of a question and its answer")
            texts.append(text)
    if len(texts) != 2:
        raise BadDataSet(f"{where}: a question and an answer are needed, got {len(texts)} turns")
    return texts


def _task(question: str) -> str:
    asked = question.lower()
    if "regular form" in asked:
        return "regular"
    return "natural" if "step by step" in asked else "direct"
