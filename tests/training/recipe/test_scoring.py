"""`score` and `ablations` as they are called, on the miniature of KonIQ-10k with the tiny model."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from assay.checkpoint import read_checkpoint
from data import labels
from data.conversations import save_conversations
from data.labels import Label
from tests.conftest import Miniatures
from tests.scripted_generator import ScriptedGenerator
from tests.training.recipe.conftest import CONFIGS, SMALL, Set, settings
from training.__main__ import main, scored
from training.__main__ import test_files as files_to_test
from training.recipe.example import direct_row, stage1_question
from training.recipe.scoring import Asked, Asker, with_decimals
from training.recipe.settings import read_settings

Captured = pytest.CaptureFixture[str]
FORMS = "checkpoints/realqa-7b/assay.toml"
SETTINGS = [
    *("--override", str(CONFIGS / "miniature.toml")),
    *(part for assignment in SMALL for part in ("--set", assignment)),
]


@pytest.fixture(scope="module")
def koniq(mini: Miniatures) -> Path:
    return mini("koniq")


@pytest.fixture(scope="module")
def head(base: Path, koniq: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two steps of the regression head."""
    out = tmp_path_factory.mktemp("head")
    assert main(["regression", *settings_of(base, koniq), "--steps", "2", "--out", str(out)]) == 0
    return out


def settings_of(base: Path, data: Path) -> list[str]:
    return ["--config", str(CONFIGS / "koniq.toml"), *SETTINGS, "--base", str(base), "--data", str(data)]


def score(base: Path, data: Path, adapter: Path, out: Path, *more: str) -> int:
    return main(["score", *settings_of(base, data), "--adapter", str(adapter), "--out", str(out), *more])


def test_the_regression_head_scores_every_file_of_the_test_split(
    base: Path, koniq: Path, head: Path, tmp_path: Path
) -> None:
    assert score(base, koniq, head, tmp_path / "labels.csv") == 0
    said = labels.read(tmp_path / "labels.csv")
    assert len(said) == 6
    assert len({label.value for label in said}) > 1
    assert all(0 < float(label.value) < 10 for label in said)


def test_a_set_without_a_split_is_trained_on_what_is_not_tested(mini: Miniatures) -> None:
    spaq = mini("spaq")
    chosen = read_settings(CONFIGS / "spaq.toml")
    trained, tested = {path for path, _ in scored(chosen, spaq)}, set(files_to_test("spaq", spaq, chosen))
    assert trained
    assert tested
    assert not trained & tested
    assert len(trained | tested) == 18


def test_a_head_that_was_trained_scores_otherwise_than_a_new_one(
    base: Path, koniq: Path, head: Path, tmp_path: Path
) -> None:
    longer = tmp_path / "longer"
    main(["regression", *settings_of(base, koniq), "--steps", "4", "--out", str(longer)])
    for run, name in ((head, "two.csv"), (longer, "four.csv")):
        score(base, koniq, run, tmp_path / name, "--files", "1")
    one, other = (labels.read(tmp_path / name)[0].value for name in ("two.csv", "four.csv"))
    assert one != other


def test_a_file_that_is_no_picture_is_named_and_the_others_are_scored(
    base: Path, koniq: Path, head: Path, tmp_path: Path, capsys: Captured
) -> None:
    data = Path(shutil.copytree(koniq, tmp_path / "koniq"))
    broken = sorted((data / "512x384").iterdir())[-1]
    broken.write_bytes(b"no picture")
    assert score(base, data, head, tmp_path / "labels.csv") == 1
    assert f"no label for 512x384/{broken.name}" in capsys.readouterr().out
    assert len(labels.read(tmp_path / "labels.csv")) == 5


def test_a_head_of_another_base_is_refused(
    base: Path, koniq: Path, head: Path, tmp_path: Path, capsys: Captured
) -> None:
    from safetensors.torch import load_file, save_file

    other = tmp_path / "other"
    other.mkdir()
    for file in head.iterdir():
        if file.is_file():
            (other / file.name).write_bytes(file.read_bytes())
    weights = load_file(other / "head.safetensors")
    save_file({name: values.repeat(*([1] * (values.dim() - 1)), 2) for name, values in weights.items()},
              other / "head.safetensors")  # fmt: skip
    assert score(base, koniq, other, tmp_path / "labels.csv") == 2
    assert "trained over another base" in capsys.readouterr().err


def rows_of(koniq: Path, out: Path) -> Path:
    """What `label` would have written, direct rows alone."""
    from data.rated import load

    rated = [direct_row(each.path, each.score) for each in load("koniq", koniq).train]
    save_conversations([replace(row, path=row.path.resolve()) for row in rated], out)
    return out


def ablations(base: Path, koniq: Path, rows: Path, out: Path, names: Sequence[str], *more: str) -> int:
    arguments = [*SETTINGS, "--base", str(base), "--data", str(koniq), "--realqa", str(koniq), "--rows", str(rows)]
    few = ["--steps", "2", "--files", "2", "--forms", FORMS, *more]
    return main(["ablations", *arguments, *few, "--only", ",".join(names), "--out", str(out)])


def test_ablations_train_and_score_by_name_and_go_on_where_they_stopped(
    base: Path, koniq: Path, tmp_path: Path, capsys: Captured
) -> None:
    rows, out = rows_of(koniq, tmp_path / "rows"), tmp_path / "out"
    names = ["digits_1", "head_2_epochs"]
    assert ablations(base, koniq, rows, out, names) == 0
    assert [len(labels.read(out / name / "labels.csv")) for name in names] == [2, 2]
    (out / "digits_1" / "labels.csv").unlink()
    capsys.readouterr()
    assert ablations(base, koniq, rows, out, names) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith(tuple(names))] == [
        "digits_1: score"
    ]


def test_an_ablation_is_trained_by_the_launcher_that_was_named(base: Path, koniq: Path, tmp_path: Path) -> None:
    arguments = tmp_path / "arguments"
    launcher = tmp_path / "launcher"
    launcher.write_text(f'#!/bin/sh\necho "$@" > {arguments}\nexit 3\n')
    launcher.chmod(0o755)
    assert ablations(base, koniq, koniq, tmp_path / "out", ["from_scratch"], "--launch", f"{launcher} --four") == 3
    assert arguments.read_text().startswith("--four -m training stage2 --config")
    assert "model.from_scratch=true" in arguments.read_text()


def test_an_ablation_that_does_not_exist_is_refused(base: Path, koniq: Path, tmp_path: Path, capsys: Captured) -> None:
    assert ablations(base, koniq, koniq, tmp_path, ["digits_9"]) == 2
    assert "no ablation digits_9; there are digits_1," in capsys.readouterr().err


@pytest.mark.parametrize("name", ["koniq", "realqa"])
def test_every_ablation_is_a_setting_that_exists(name: str) -> None:
    from training.recipe.ablations import read_ablations

    for ablation in read_ablations().values():
        read_settings(CONFIGS / f"{name}.toml", assignments=ablation.changes)


REALQA = read_checkpoint(Path("checkpoints/realqa-7b"))


async def labels_of(pictures: Set, asked: Asked, generator: ScriptedGenerator, digits: int = 3) -> dict[str, Label]:
    asker = Asker(generator, with_decimals(REALQA, digits), settings().pictures, asked)
    return {label.item: label for label in await asker.labels(pictures.paths[0], "0.png", "model scripted a b")}


async def test_a_direct_question_gives_a_score_alone(pictures: Set) -> None:
    said = await labels_of(pictures, "direct", ScriptedGenerator(direct="6.59"))
    assert [(label.item, label.value, label.scale) for label in said.values()] == [("score", "6.5900", "0..10")]


async def test_the_regular_form_gives_every_grade_and_the_score_after_it(pictures: Set) -> None:
    said = await labels_of(pictures, "regular", ScriptedGenerator(choices={"composition": " 7"}, direct="5.04"))
    assert len(said) == 11
    assert (said["composition"].value, said["score"].value) == ("7", "5.0400")


async def test_stage_1_is_asked_for_attributes_by_the_question_of_mix(pictures: Set) -> None:
    generator = ScriptedGenerator(texts={"subject": " a dog", "background": " a lawn"})
    said = await labels_of(pictures, "attributes", generator)
    assert generator.asked[0].question == stage1_question("mix")
    assert "score" not in said
    assert said["subject_and_background"].value == "a dog; a lawn"


async def test_a_model_of_one_digit_is_asked_for_one(pictures: Set) -> None:
    said = await labels_of(pictures, "direct", ScriptedGenerator(direct="6"), digits=1)
    assert said["score"].value == "6.0000"
