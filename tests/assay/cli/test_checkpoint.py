"""`assay checkpoint`: what is shown, what is prepared, and what is said where something is missing.

The hub is scripted and the merge is a stand-in that copies the base; the recipe's own is tested with the recipe.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.cli import checkpoint, main
from assay.weight_shapes import weight_shapes
from assay.weights import fingerprint
from tests.assay.scripted_hub import COMMIT, ScriptedHub
from tests.rehearsal.weights import true_shape
from tests.tiny_checkpoint import write_tiny_adapter, write_tiny_checkpoint
from training.recipe import hub, prepare

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "checkpoints/realqa-7b"
BASE, ADAPTERS = "Qwen/Qwen2-VL-7B-Instruct", "MingxingLi/RealQA-models"
Captured = pytest.CaptureFixture[str]

MERGE = """
import pathlib, shutil, sys
given = dict(zip(sys.argv[2::2], sys.argv[3::2]))
assert sys.argv[1] == "merge" and (pathlib.Path(given["--adapter"]) / "adapter_config.json").is_file()
out = pathlib.Path(given["--out"])
out.mkdir()
shutil.copy(pathlib.Path(given["--base"]) / "model.safetensors", out)
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("base"))


@pytest.fixture
def adapters(tmp_path: Path, base: Path) -> Path:
    """Two of them, each in a folder, and something that is not to be fetched."""
    directory = tmp_path / "adapters"
    for name in ("realqa", "AVA"):
        (directory / name).mkdir(parents=True)
        (directory / name / "adapter_config.json").write_text("{}")
        shutil.copy(base / "model.safetensors", directory / name / "adapter_model.safetensors")
        (directory / name / "training_args.bin").write_bytes(b"a pickle")
    return directory


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the recipe and a stand-in for the merge."""
    (tmp_path / "root/training").mkdir(parents=True)
    (tmp_path / "root/training/__init__.py").touch()
    (tmp_path / "root/training/__main__.py").write_text(MERGE)
    recipe = tmp_path / "root/checkpoints/realqa-7b"
    shutil.copytree(ROOT / "checkpoints/realqa-7b", recipe)
    for module in (checkpoint, prepare):
        monkeypatch.setattr(module, "checkout", lambda: tmp_path / "root")
    return tmp_path / "root"


@pytest.fixture
def scripted(base: Path, adapters: Path) -> Iterator[ScriptedHub]:
    with ScriptedHub({BASE: base, ADAPTERS: adapters}) as running:
        yield running


def prepared(scripted: ScriptedHub, tmp_path: Path, *options: str) -> tuple[int, Path]:
    out = tmp_path / "out"
    where = ["--hub", scripted.url, "--cache", str(tmp_path / "cache"), "--out", str(out)]
    return main(["checkpoint", "prepare", "realqa-7b", *where, *options]), out


def test_what_is_prepared_can_be_served(scripted: ScriptedHub, root: Path, tmp_path: Path, capsys: Captured) -> None:
    code, _ = prepared(scripted, tmp_path)
    assert (code, capsys.readouterr().out.splitlines()[-1]) == (0, "can be served")


def test_pickles_and_other_adapters_are_not_fetched(scripted: ScriptedHub, root: Path, tmp_path: Path) -> None:
    prepared(scripted, tmp_path)
    assert (scripted.fetched.count("adapter_config.json"), "training_args.bin" in scripted.fetched) == (1, False)


def test_the_commits_that_were_taken_are_written_down(scripted: ScriptedHub, root: Path, tmp_path: Path) -> None:
    _, out = prepared(scripted, tmp_path)
    assert json.loads((out / "sources.lock.json").read_text()) == {"base": COMMIT, "adapter": COMMIT}


def test_the_variant_that_was_asked_for_is_chosen(scripted: ScriptedHub, root: Path, tmp_path: Path) -> None:
    _, out = prepared(scripted, tmp_path, "--variant", "straight")
    assert 'variant = "straight"' in (out / "assay.toml").read_text()


def test_local_copies_need_no_hub(base: Path, adapters: Path, root: Path, tmp_path: Path) -> None:
    local = ["--base", str(base), "--adapter", str(adapters / "AVA"), "--out", str(tmp_path / "out")]
    assert main(["checkpoint", "prepare", "realqa-7b", "--hub", "http://127.0.0.1:1", *local]) == 0


def refused(capsys: Captured, *arguments: str) -> tuple[int, str]:
    code = main(["checkpoint", *arguments])
    return code, capsys.readouterr().err


def test_a_hub_that_cannot_be_reached_is_one_sentence_with_a_way_out(
    root: Path, tmp_path: Path, capsys: Captured
) -> None:
    where = ["--hub", "http://127.0.0.1:1", "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")]
    code, said = refused(capsys, "prepare", "realqa-7b", *where)
    assert (code, "cannot be reached" in said, "--base and --adapter" in said, said.count("\n")) == (1, True, True, 1)


def test_an_offline_machine_learns_which_variable_says_so(
    root: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    code, said = refused(capsys, "prepare", "realqa-7b", "--out", str(tmp_path / "out"))
    assert (code, said.startswith("assay: HF_HUB_OFFLINE forbids")) == (1, True)


def test_a_full_disk_is_noticed_before_anything_is_fetched(
    scripted: ScriptedHub, root: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    code, _ = prepared(scripted, tmp_path)
    assert (code, "GB are free; make room" in capsys.readouterr().err, scripted.fetched) == (1, True, [])


def test_merging_is_said_to_take_what_it_was_measured_to_take(tmp_path: Path) -> None:
    config = true_shape(tmp_path, text_layers=28, vision_layers=32).config
    linear = [sides for name, sides in weight_shapes(config).items() if len(sides) == 2 and "embed" not in name]
    adapter = sum(2 * 128 * sum(sides) for sides in linear if 152_064 not in sides)
    # `make rehearse-7b OPTIONS="--depth 28 --until merge"`: docs/gpu.md.
    assert prepare.needed_memory_bytes(config, adapter) == pytest.approx(3.04e9, rel=0.15)


def test_too_little_memory_is_noticed_before_weights_are_fetched(
    scripted: ScriptedHub, root: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "available_memory_bytes", lambda: 1)
    code, _ = prepared(scripted, tmp_path)
    assert (code, "GB of memory and 0.0 GB are available" in capsys.readouterr().err) == (1, True)
    assert scripted.fetched == ["config.json"]


def test_an_adapter_that_is_not_pinned_is_said_with_the_commit_that_was_taken(
    scripted: ScriptedHub, root: Path, tmp_path: Path, capsys: Captured
) -> None:
    prepared(scripted, tmp_path)
    assert f"adapter: no revision is pinned; took {COMMIT}" in capsys.readouterr().out


def test_the_base_is_asked_for_at_its_pinned_commit(scripted: ScriptedHub, root: Path, tmp_path: Path) -> None:
    prepared(scripted, tmp_path)
    assert any(f"{BASE}/revision/{prepare.read_sources(RECIPE).base.revision}" in path for path in scripted.asked)


def test_a_repository_that_is_not_there_is_named(base: Path, root: Path, tmp_path: Path, capsys: Captured) -> None:
    with ScriptedHub({BASE: base}) as without_adapters:
        code, _ = prepared(without_adapters, tmp_path)
    assert (code, f"shows us no {ADAPTERS}" in capsys.readouterr().err) == (1, True)


def test_which_adapter_is_asked_with_those_there_are(
    scripted: ScriptedHub, root: Path, tmp_path: Path, capsys: Captured
) -> None:
    code, _ = prepared(scripted, tmp_path, "--folder", "spaq")
    assert (code, "--folder; there are: AVA, realqa" in capsys.readouterr().err) == (1, True)


def test_without_the_recipe_it_is_said_what_is_missing(root: Path, tmp_path: Path, capsys: Captured) -> None:
    shutil.rmtree(root / "training")
    code, said = refused(capsys, "prepare", "realqa-7b", "--out", str(tmp_path / "out"))
    assert (code, "use a checkout of Assay" in said) == (1, True)


def test_a_merge_that_fails_leaves_nothing_that_looks_finished(
    scripted: ScriptedHub, root: Path, tmp_path: Path, capsys: Captured
) -> None:
    (root / "training/__main__.py").write_text("raise SystemExit(3)")
    code, out = prepared(scripted, tmp_path)
    assert (code, "merge failed (exit code 3)" in capsys.readouterr().err, out.exists()) == (1, True, False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("realqa-70b",), "no recipe for 'realqa-70b'; there are realqa-7b"),
        (("realqa-7b", "--variant", "big"), "no variant 'big'; it has authors"),
        (("realqa-7b", "--out", "/"), "is there already"),
    ],
)
def test_wrong_use_is_exit_code_2(arguments: tuple[str, ...], said: str, root: Path, capsys: Captured) -> None:
    code, complaint = refused(capsys, "prepare", *arguments)
    assert (code, said in complaint) == (2, True)


def test_show_says_the_fingerprint_that_the_engine_reports(capsys: Captured) -> None:
    main(["checkpoint", "show", str(ROOT / "checkpoints/nano")])
    assert fingerprint(ROOT / "checkpoints/nano") in capsys.readouterr().out


def test_show_says_that_small_pictures_are_enlarged_first(capsys: Captured) -> None:
    main(["checkpoint", "show", str(ROOT / "checkpoints/nano")])
    assert "to 254,016 px where it is smaller" in capsys.readouterr().out


def test_show_says_what_keeps_a_directory_from_being_served(capsys: Captured) -> None:
    code, said = refused(capsys, "show", str(ROOT / "checkpoints/realqa-7b"))
    assert (code, said) == (2, "assay: checkpoint 'realqa-7b' holds no *.safetensors\n")


def test_show_notices_a_processor_that_normalises_differently(base: Path, tmp_path: Path, capsys: Captured) -> None:
    broken = Path(shutil.copytree(base, tmp_path / "broken"))
    config = json.loads((broken / "preprocessor_config.json").read_text()) | {"image_mean": [0.5, 0.5, 0.5]}
    (broken / "preprocessor_config.json").write_text(json.dumps(config))
    shutil.copy(ROOT / "checkpoints/nano/assay.toml", broken)
    code, said = refused(capsys, "show", str(broken))
    assert (code, "image_mean is [0.5, 0.5, 0.5], assay.toml says" in said) == (2, True)


@pytest.mark.slow
def test_a_fresh_interpreter_downloads_merges_and_proves(tmp_path: Path) -> None:
    # pytest has imported parts of huggingface_hub that the package does not import by itself.
    base = write_tiny_checkpoint(tmp_path / "base", max_position_embeddings=4096)
    write_tiny_adapter(base, tmp_path / "adapters" / "RealQA")
    command = [sys.executable, "-m", "assay.cli", "checkpoint", "prepare", "realqa-7b"]
    with ScriptedHub({BASE: base, ADAPTERS: tmp_path / "adapters"}) as hub:
        where = ["--hub", hub.url, "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")]
        ended = subprocess.run([*command, *where], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert json.loads((tmp_path / "out/merge.json").read_text())["vision_layers"] > 0
