import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.conversations import (
    COT_FILE,
    DIRECT_FILE,
    STAGE_1_FILES,
    load_conversations,
    read_file,
    save_conversations,
    score_of,
)
from data.tables import BadDataSet


def test_what_was_saved_is_loaded(mini, tmp_path):
    rows = load_conversations(mini("realqa"))
    save_conversations(rows, tmp_path)
    assert load_conversations(tmp_path) == rows


def test_stage_1_has_13_files():
    assert len(STAGE_1_FILES) == 13


def test_every_training_picture_is_asked_about_in_16_ways(mini):
    rows = load_conversations(mini("realqa"))
    assert {len({row.task for row in rows if row.path == path}) for path in {row.path for row in rows}} == {16}


def test_only_stage_2_has_scores(mini):
    scored = {row.task for row in load_conversations(mini("realqa")) if row.score is not None}
    assert scored == {"direct", "regular", "natural"}


def test_no_test_picture_is_asked_about_in_training(mini):
    tests = {row.path for row in read_file(mini("realqa") / "realqa_test.json", mini("realqa"))}
    assert not tests & {row.path for row in load_conversations(mini("realqa"))}


def test_a_missing_file_is_named_with_the_place_to_get_it(tmp_path):
    with pytest.raises(BadDataSet, match="RealQA-conversation"):
        load_conversations(tmp_path)


def test_the_other_spelling_of_a_conversation_is_read_too(tmp_path):
    turns = [{"from": "human", "value": "<image>How good?"}, {"from": "gpt", "value": "The final score is <6.59>."}]
    (tmp_path / "rows.json").write_text(json.dumps([{"conversations": turns, "images": ["a.jpg"]}]))
    (row,) = read_file(tmp_path / "rows.json", tmp_path)
    assert (row.question, row.score, row.path) == ("How good?", 6.59, tmp_path / "a.jpg")


def asked(content: str) -> list[dict[str, object]]:
    turns = [{"role": "user", "content": content}, {"role": "assistant", "content": "The final score is <6.59>."}]
    return [{"messages": turns, "images": ["a.jpg"]}]


@pytest.mark.parametrize("question", [" Rate this with the regular form.", "Rate this.", "\nRate this."])
def test_what_stands_behind_the_placeholder_is_the_question_to_the_letter(tmp_path, question):
    (tmp_path / "rows.json").write_text(json.dumps(asked(f"<image>{question}")))
    (row,) = read_file(tmp_path / "rows.json", tmp_path)
    assert row.question == question


@pytest.mark.parametrize("content", ["Rate this. <image>", "<image><image>Rate this."])
def test_a_picture_that_stands_elsewhere_than_in_front_is_refused(tmp_path, content):
    (tmp_path / "rows.json").write_text(json.dumps(asked(content)))
    with pytest.raises(BadDataSet, match=r"rows.json, row 1.*in front of the question"):
        read_file(tmp_path / "rows.json", tmp_path)


@pytest.mark.parametrize(
    "entry",
    [
        {},
        "text",
        {"messages": "text", "images": ["a.jpg"]},
        {"messages": ["text"], "images": ["a.jpg"]},
        {"messages": [{"role": "user", "content": "?"}], "images": ["a.jpg"]},
        {"messages": [{"role": "assistant", "content": "?"}, {"role": "user", "content": "!"}], "images": ["a.jpg"]},
        {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "<3.72>"}]},
        {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "good"}], "images": ["a.jpg"]},
    ],
)
def test_a_row_that_cannot_be_read_is_named(tmp_path, entry):
    (tmp_path / DIRECT_FILE).write_text(json.dumps([entry]))
    with pytest.raises(BadDataSet, match=f"{DIRECT_FILE}, row 1"):
        read_file(tmp_path / DIRECT_FILE, tmp_path)


@given(st.integers(0, 999))
def test_a_score_is_read_as_it_was_written(hundredths):
    score = hundredths / 100
    assert score_of(f"It earns 7. The final score is <{score:.2f}>.") == score


def test_an_unknown_task_is_not_saved(tmp_path, mini):
    row = load_conversations(mini("realqa"))[0]
    with pytest.raises(ValueError, match="unknown task 'sharpness'"):
        save_conversations([type(row)(Path("a.jpg"), "?", "!", "sharpness", None)], tmp_path)


def test_reasoned_rows_stand_apart_from_direct_ones(mini):
    root = mini("realqa")
    tasks = [{row.task for row in read_file(root / file, root)} for file in (DIRECT_FILE, COT_FILE)]
    assert tasks == [{"direct"}, {"natural", "regular"}]
