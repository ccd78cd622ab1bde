"""`python -m evaluation` on a data set's miniature against a scripted gateway."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from assay.errors import AssayError, UnreadableVerdict
from assay.v1 import event_pb2
from data.published import SETS
from evaluation.__main__ import main
from evaluation.runs import read_run
from tests.assay.scripted_gateway import Call, ScriptedGateway, result, started
from tests.conftest import Miniatures

Captured = pytest.CaptureFixture[str]


def scored_by_content(call: Call) -> Iterable[event_pb2.ScoreEvent | AssayError]:
    """Some number for every file, the same each time."""
    digest = hashlib.sha256(b"".join(call.chunks)).digest()
    is_video = call.method == "StreamVideo"
    return [started(is_video), event_pb2.ScoreEvent(result=result(is_video, value=digest[0] / 26))]


@pytest.fixture
def gateway() -> Iterator[ScriptedGateway]:
    with ScriptedGateway(scored_by_content) as gateway:
        yield gateway


def measure(gateway: ScriptedGateway, tmp_path: Path, data: Path, name: str = "koniq") -> int:
    read = ["--data-set", name, "--data", str(data), "--trained-on", "koniq"]
    return main(["measure", *read, "--server", gateway.address, "--out", str(tmp_path / f"{name}.json")])


@pytest.mark.parametrize("name", SETS)
def test_every_data_set_goes_through_the_gateway(
    gateway: ScriptedGateway, tmp_path: Path, name: str, mini: Miniatures
) -> None:
    assert measure(gateway, tmp_path, mini(name), name) == 0
    assert read_run(tmp_path / f"{name}.json").counts()["scored"] == len(gateway.calls) > 0


def test_the_table_stands_next_to_the_claim(
    gateway: ScriptedGateway, tmp_path: Path, capsys: Captured, mini: Miniatures
) -> None:
    measure(gateway, tmp_path, mini("koniq"))
    assert "0.948" in capsys.readouterr().out


def test_unreadable_answers_are_counted_and_are_exit_code_1(tmp_path: Path, mini: Miniatures) -> None:
    with ScriptedGateway(lambda call: [UnreadableVerdict("the answer holds no score")]) as gateway:
        assert measure(gateway, tmp_path, mini("koniq")) == 1
    counts = read_run(tmp_path / "koniq.json").counts()
    assert counts["unreadable"] == counts["n"] > 0


def test_tables_and_figures_are_written(gateway: ScriptedGateway, tmp_path: Path, mini: Miniatures) -> None:
    measure(gateway, tmp_path, mini("koniq"))
    main(["tables", str(tmp_path / "koniq.json"), "--out", str(tmp_path / "out")])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("tables.md", "scatter.png", "claims.png", "figure_2_koniq.png")
    }


def test_direct_is_compared_with_reasoned_within_one_run(
    gateway: ScriptedGateway, tmp_path: Path, capsys: Captured, mini: Miniatures
) -> None:
    measure(gateway, tmp_path, mini("koniq"))
    main(["compare", str(tmp_path / "koniq.json")])
    assert "files have both scores" in capsys.readouterr().out


def test_a_data_set_that_is_not_there_is_wrong_use(gateway: ScriptedGateway, tmp_path: Path) -> None:
    (tmp_path / "spaq").mkdir()
    assert measure(gateway, tmp_path, tmp_path / "spaq", "spaq") == 2


def test_sorting_writes_its_questions(tmp_path: Path) -> None:
    assert main(["sorting", "--questions", str(tmp_path / "questions.jsonl")]) == 0
    assert len((tmp_path / "questions.jsonl").read_text().splitlines()) == 200


def test_sorting_without_a_model_or_answers_is_wrong_use() -> None:
    assert main(["sorting"]) == 2
