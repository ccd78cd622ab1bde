"""`python -m evaluation` against a scripted gateway: counts, numbers, JSON and exit codes."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from assay.errors import AssayError, BadMedia, UnreadableVerdict
from assay.v1 import event_pb2
from evaluation.__main__ import main
from tests.assay.scripted_gateway import JPEG, Call, ScriptedGateway, result, started
from tests.assay.test_client import refused_port

Captured = pytest.CaptureFixture[str]
Events = Iterable[event_pb2.ScoreEvent | AssayError]


def scored_by_content(call: Call) -> Events:
    """The bytes after the magic number are the score, or the name of a failure."""
    content = b"".join(call.chunks)[len(JPEG) :].decode()
    failures = {"bad": BadMedia("no picture"), "mute": UnreadableVerdict("the answer holds no score")}
    if content in failures:
        return [failures[content]]
    return [started(), event_pb2.ScoreEvent(result=result(value=float(content)))]


@pytest.fixture
def gateway() -> Iterator[ScriptedGateway]:
    with ScriptedGateway(scored_by_content) as gateway:
        yield gateway


def manifest_of(tmp_path: Path, contents: Mapping[str, float]) -> Path:
    """One file per content, with its label; a content "missing" has no file."""
    lines = ["file,mos"]
    for number, (content, mos) in enumerate(contents.items()):
        if content != "missing":
            (tmp_path / f"{number}.jpg").write_bytes(JPEG + content.encode())
        lines.append(f"{number}.jpg,{mos}")
    path = tmp_path / "manifest.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


EVERY_FATE = {"1.0": 1, "2.5": 2, "2.0": 3, "4.0": 4, "5.0": 5, "6.0": 6, "bad": 3, "mute": 3, "missing": 3}


def correlated(server: str, tmp_path: Path, contents: Mapping[str, float], *more: str) -> int:
    """The exit code."""
    manifest = str(manifest_of(tmp_path, contents))
    return main(["correlation", "--manifest", manifest, "--server", server, *more])


def measured(gateway: ScriptedGateway, tmp_path: Path, contents: Mapping[str, float]) -> dict[str, Any]:
    out = tmp_path / "report.json"
    main(
        [
            "correlation",
            "--manifest",
            str(manifest_of(tmp_path, contents)),
            "--server",
            gateway.address,
            "--out",
            str(out),
        ]
    )
    return dict(json.loads(out.read_text()))


def test_every_row_is_counted(gateway: ScriptedGateway, tmp_path: Path) -> None:
    numbers = measured(gateway, tmp_path, EVERY_FATE)
    assert (numbers["n"], numbers["scored"], numbers["unreadable"]) == (9, 6, 1)


def test_failures_are_counted_by_reason(gateway: ScriptedGateway, tmp_path: Path) -> None:
    numbers = measured(gateway, tmp_path, EVERY_FATE)
    assert numbers["failures"] == {"BAD_MEDIA": 1, "UNREADABLE_VERDICT": 1, "UNREADABLE_FILE": 1}


def test_a_row_that_failed_is_listed_with_its_reason(gateway: ScriptedGateway, tmp_path: Path) -> None:
    rows = measured(gateway, tmp_path, EVERY_FATE)["rows"]
    assert [row.get("reason") for row in rows[-3:]] == ["BAD_MEDIA", "UNREADABLE_VERDICT", "UNREADABLE_FILE"]


def test_srcc_is_that_of_the_scored_rows(gateway: ScriptedGateway, tmp_path: Path) -> None:
    assert measured(gateway, tmp_path, EVERY_FATE)["srcc"]["value"] == pytest.approx(1 - 6 * 2 / (6 * 35))


def test_the_report_says_which_model_was_measured(gateway: ScriptedGateway, tmp_path: Path) -> None:
    reported = measured(gateway, tmp_path, EVERY_FATE)["models"]
    fingerprints = {"checkpoint_fingerprint": "c0ffee", "preprocessing_fingerprint": "beef"}
    assert reported == [{"name": "scripted", **fingerprints, "warnings": []}]


def test_equal_scores_give_a_reason_and_no_number(gateway: ScriptedGateway, tmp_path: Path) -> None:
    numbers = measured(gateway, tmp_path, {"5.0": 1, "5.00": 2, "5.000": 3})
    assert (numbers["srcc"]["value"], numbers["srcc"]["reason"]) == (None, "all scores are equal")


def test_scores_of_two_models_are_not_compared(tmp_path: Path) -> None:
    calls = 0

    def changing(call: Call) -> Events:
        nonlocal calls
        calls += 1
        answer = result(value=float(calls))
        answer.model.checkpoint_fingerprint = str(calls)
        return [started(), event_pb2.ScoreEvent(result=answer)]

    with ScriptedGateway(changing) as gateway:
        numbers = measured(gateway, tmp_path, {"1": 1, "2": 2, "3": 3, "4": 4, "5": 5})
    assert "more than one model" in numbers["srcc"]["reason"]


def test_the_table_names_every_number(gateway: ScriptedGateway, tmp_path: Path, capsys: Captured) -> None:
    correlated(gateway.address, tmp_path, EVERY_FATE)
    reported = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()]
    assert reported[3:] == ["n", "scored", "unreadable", "failures", "SRCC", "PLCC", "PLCC, logistic"]


def test_all_scored_is_exit_code_0(gateway: ScriptedGateway, tmp_path: Path) -> None:
    assert correlated(gateway.address, tmp_path, {"1": 1, "2": 2}) == 0


def test_a_failed_row_is_exit_code_1(gateway: ScriptedGateway, tmp_path: Path) -> None:
    assert correlated(gateway.address, tmp_path, EVERY_FATE) == 1


def test_no_server_is_exit_code_3(tmp_path: Path) -> None:
    assert correlated(refused_port(), tmp_path, {"1": 1, "2": 2}) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["correlations"],
        ["correlation"],
        ["correlation", "--manifest", "nowhere.csv"],
        ["ladders"],
        ["ladders", "--photos", "nowhere"],
        ["ladders", "--photos", ".", "--form", "poem"],
        ["ladders", "--photos", ".", "--concurrency", "0"],
        ["video", "--photos", ".", "--videos", "."],
    ],
    ids=" ".join,
)
def test_wrong_use_is_exit_code_2(arguments: list[str]) -> None:
    assert main(arguments) == 2


def test_an_output_without_a_directory_is_refused_before_anything_is_scored(
    gateway: ScriptedGateway, tmp_path: Path
) -> None:
    assert correlated(gateway.address, tmp_path, EVERY_FATE, "--out", str(tmp_path / "no" / "report.json")) == 2
    assert gateway.calls == []
