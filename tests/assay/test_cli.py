"""The command line against a scripted gateway: what is printed where, and every exit code."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from assay.cli import main, render
from assay.cli.progress import TerminalScreen
from assay.client import judgement_from_wire
from assay.errors import UnreadableVerdict
from assay.v1 import event_pb2, video_pb2
from tests.assay.scripted_gateway import (
    JPEG,
    MP4,
    Call,
    ScriptedGateway,
    reasoning,
    result,
    started,
)
from tests.assay.test_client import refused_port

ROOT = Path(__file__).parents[2]
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def gateway() -> Iterator[ScriptedGateway]:
    with ScriptedGateway() as gateway:
        yield gateway


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "photo.jpg").write_bytes(JPEG)
    (tmp_path / "film.mp4").write_bytes(MP4)
    (tmp_path / "broken.jpg").write_bytes(b"broken")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("not media")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def assay(gateway: ScriptedGateway, *arguments: str) -> int:
    return main(["score", "--server", gateway.address, *arguments])


def test_stdout_holds_the_score_line_and_nothing_else(gateway: ScriptedGateway, folder: Path, capsys: Captured) -> None:
    assay(gateway, "photo.jpg")
    assert capsys.readouterr().out == "photo.jpg: 6.53 ± 0.41 of 10\n"


def test_a_scored_file_is_exit_code_0(gateway: ScriptedGateway, folder: Path) -> None:
    assert assay(gateway, "photo.jpg") == 0


def test_an_address_is_passed_on_and_not_searched_for_on_the_disk(gateway: ScriptedGateway, capsys: Captured) -> None:
    assert assay(gateway, "--quiet", "https://media.test/photo.jpg?size=2") == 0
    assert capsys.readouterr().out == "https://media.test/photo.jpg?size=2: 6.53 ± 0.41 of 10\n"
    assert (gateway.calls[0].method, gateway.calls[0].chunks) == ("ScoreUri", [b"https://media.test/photo.jpg?size=2"])


def test_the_reasoning_goes_to_stderr(gateway: ScriptedGateway, folder: Path, capsys: Captured) -> None:
    assay(gateway, "photo.jpg")
    assert capsys.readouterr().err.startswith("Sharp. Well lit.\n")


def test_ten_attribute_lines_say_name_grade_and_probability(
    gateway: ScriptedGateway, folder: Path, capsys: Captured
) -> None:
    assay(gateway, "photo.jpg")
    reported = [line.split() for line in capsys.readouterr().err.splitlines() if line.startswith("  ")]
    assert (len(reported), reported[7]) == (10, ["clarity", "moderately", "clear", "60%"])


def test_a_video_has_a_line_per_window(gateway: ScriptedGateway, folder: Path, capsys: Captured) -> None:
    assay(gateway, "film.mp4")
    reported = [line for line in capsys.readouterr().err.splitlines() if " to " in line]
    assert reported[1] == "    0:04.0 to 0:07.5   6.53  █████████████         moderately clear, slightly overexposed"


def test_quiet_leaves_the_score_alone(gateway: ScriptedGateway, folder: Path, capsys: Captured) -> None:
    assay(gateway, "-q", "film.mp4")
    assert capsys.readouterr() == ("film.mp4: 6.53 ± 0.41 of 10\n", "")


def test_json_has_exactly_the_promised_keys(gateway: ScriptedGateway, folder: Path, capsys: Captured) -> None:
    assay(gateway, "--json", "photo.jpg")
    assert list(json.loads(capsys.readouterr().out)) == [
        "file",
        "score",
        "attributes",
        "windows",
        "media",
        "model",
    ]


def test_json_says_the_score_with_its_scale(gateway: ScriptedGateway, folder: Path, capsys: Captured) -> None:
    assay(gateway, "--json", "photo.jpg")
    expected = {"value": 6.53, "stddev": 0.41, "scale": {"minimum": 0.0, "maximum": 10.0}}
    assert json.loads(capsys.readouterr().out)["score"] == expected


def test_json_says_every_probability(gateway: ScriptedGateway, folder: Path, capsys: Captured) -> None:
    assay(gateway, "--json", "photo.jpg")
    level = json.loads(capsys.readouterr().out)["attributes"]["level_shot"]
    assert level == {"grade": "no", "probabilities": {"no": 0.6, "yes": 0.4}, "text": ""}


def test_json_is_one_line_per_file(gateway: ScriptedGateway, folder: Path, capsys: Captured) -> None:
    assay(gateway, "--json", "photo.jpg", "broken.jpg", "film.mp4")
    files = [json.loads(line)["file"] for line in capsys.readouterr().out.splitlines()]
    assert files == ["photo.jpg", "broken.jpg", "film.mp4"]


def test_json_of_a_failure_says_reason_and_message(gateway: ScriptedGateway, folder: Path, capsys: Captured) -> None:
    assay(gateway, "--json", "broken.jpg")
    expected = {"reason": "BAD_MEDIA", "message": "these bytes are neither a picture nor a video"}
    assert json.loads(capsys.readouterr().out) == {"file": "broken.jpg", "error": expected}


@pytest.mark.parametrize("name", ["broken.jpg", "empty.jpg", "missing.jpg"])
def test_a_file_that_cannot_be_scored_is_exit_code_1(name: str, gateway: ScriptedGateway, folder: Path) -> None:
    assert assay(gateway, name) == 1


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("broken.jpg", "assay: broken.jpg: these bytes are neither a picture nor a video\n"),
        ("empty.jpg", "assay: empty.jpg: the file is empty; send a picture or a video\n"),
        ("missing.jpg", "assay: missing.jpg: cannot be read: No such file or directory\n"),
    ],
)
def test_a_failure_is_one_sentence(
    name: str, sentence: str, gateway: ScriptedGateway, folder: Path, capsys: Captured
) -> None:
    assay(gateway, name)
    assert capsys.readouterr() == ("", sentence)


@pytest.mark.parametrize("concurrency", ["1", "4"])
def test_a_bad_file_takes_nothing_from_the_others(
    concurrency: str, gateway: ScriptedGateway, folder: Path, capsys: Captured
) -> None:
    code = assay(gateway, "--concurrency", concurrency, "photo.jpg", "broken.jpg", "film.mp4")
    scored = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert (code, scored) == (1, ["photo.jpg", "film.mp4"])


def test_an_unreadable_verdict_is_exit_code_1(folder: Path) -> None:
    with ScriptedGateway(lambda call: [started(), UnreadableVerdict("the answer holds no score")]) as gateway:
        assert assay(gateway, "photo.jpg") == 1


def test_the_number_of_failures_is_reported_at_the_end(
    gateway: ScriptedGateway, folder: Path, capsys: Captured
) -> None:
    assay(gateway, "photo.jpg", "broken.jpg", "missing.jpg")
    assert capsys.readouterr().err.endswith("assay: 2 of 3 files could not be scored\n")


def test_no_server_is_exit_code_3(folder: Path) -> None:
    assert main(["score", "--server", refused_port(), "photo.jpg"]) == 3


def test_no_server_says_what_to_do(folder: Path, capsys: Captured) -> None:
    main(["score", "--server", refused_port(), "photo.jpg"])
    assert "start one with `assay up`" in capsys.readouterr().err


def test_the_server_may_come_from_the_environment(
    gateway: ScriptedGateway, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_SERVER", gateway.address)
    assert main(["score", "photo.jpg"]) == 0


def test_a_misspelt_variable_names_itself(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setenv("ASSAY_SEVRER", "127.0.0.1:1")
    main(["score", "photo.jpg"])
    assert "ASSAY_SEVRER is no setting; the closest is ASSAY_SERVER" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["score"],
        ["score", "--form", "poem", "photo.jpg"],
        ["score", "--attributes", "sharpness", "photo.jpg"],
        ["score", "--concurrency", "0", "photo.jpg"],
        ["score", "--timeout", "soon", "photo.jpg"],
        ["frobnicate"],
    ],
    ids=" ".join,
)
def test_wrong_use_is_exit_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 2


def test_an_unknown_attribute_names_the_known_ones(capsys: Captured) -> None:
    with pytest.raises(SystemExit):
        main(["score", "--attributes", "clarity,sharpness", "photo.jpg"])
    assert "unknown attribute sharpness; known are composition, eye_catching" in capsys.readouterr().err


def test_only_the_attributes_that_are_asked_for_are_reported(
    gateway: ScriptedGateway, folder: Path, capsys: Captured
) -> None:
    assay(gateway, "--json", "--attributes", "clarity,exposure", "photo.jpg")
    assert list(json.loads(capsys.readouterr().out)["attributes"]) == ["clarity", "exposure"]


def test_a_directory_stands_for_the_media_below_it(gateway: ScriptedGateway, folder: Path, capsys: Captured) -> None:
    (folder / "deeper").mkdir()
    (folder / "deeper" / "UPPER.JPG").write_bytes(JPEG)
    assay(gateway, "-q", ".")
    scored = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert scored == ["./film.mp4", "./photo.jpg", "./deeper/UPPER.JPG"]


def test_a_directory_without_media_is_a_failure(gateway: ScriptedGateway, tmp_path: Path, capsys: Captured) -> None:
    assay(gateway, str(tmp_path))
    assert "the directory holds no picture or video" in capsys.readouterr().err


def test_a_dash_reads_stdin(gateway: ScriptedGateway) -> None:
    command = [sys.executable, "-m", "assay.cli", "score", "-q", "--server", gateway.address, "-"]
    reported = subprocess.run(command, cwd=ROOT, input=JPEG, capture_output=True, check=True)
    assert reported.stdout.decode() == "-: 6.53 ± 0.41 of 10\n"


def test_a_file_name_cannot_steer_the_terminal(gateway: ScriptedGateway, folder: Path, capsys: Captured) -> None:
    (folder / "\x1b[31m\n.jpg").write_bytes(JPEG)
    assay(gateway, "-q", "\x1b[31m\n.jpg")
    assert capsys.readouterr().out == "?[31m?.jpg: 6.53 ± 0.41 of 10\n"


def test_reasoning_cannot_steer_the_terminal(folder: Path, capsys: Captured) -> None:
    with ScriptedGateway(lambda call: [started(), reasoning("a\x1b[2Jb"), _resulting()]) as gateway:
        assay(gateway, "photo.jpg")
    assert capsys.readouterr().err.startswith("a?[2Jb\n")


def test_reasoning_is_written_while_the_file_is_judged(folder: Path) -> None:
    """The gateway holds the result back until the first words have been read from stderr."""
    observed = []

    def script(call: Call) -> Iterator[event_pb2.ScoreEvent]:
        yield started()
        yield reasoning("Sharp.")
        observed.append(process.stderr.read(6))  # type: ignore[union-attr]
        yield _resulting()

    with ScriptedGateway(script) as gateway:
        command = [sys.executable, "-m", "assay.cli", "score", "--server", gateway.address, str(folder / "photo.jpg")]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        process.wait(20)
    assert observed == [b"Sharp."]


def test_what_a_terminal_shows_ends_with_the_text_alone() -> None:
    file = io.StringIO()
    with TerminalScreen(Console(file=file, force_terminal=True, width=20, color_system=None)) as screen:
        screen.write("A sentence that is wider than the screen.\nAnd ")
        screen.write("one more.")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue()).replace("\r", "\n").split("\n")
    assert [line.strip() for line in shown if line.strip()][-1] == "And one more."


def test_a_judgement_survives_json_without_loss_of_digits() -> None:
    judgement = judgement_from_wire(result(value=6.123456789012345))
    assert json.loads(render.judgement_json("x", judgement))["score"]["value"] == judgement.score.value


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00.0"), (3.96, "0:04.0"), (59.97, "1:00.0"), (754.25, "12:34.2")])
def test_times_are_minutes_and_seconds(seconds: float, text: str) -> None:
    assert render.clock(seconds) == text


@pytest.mark.parametrize(("part", "text"), [(0, ""), (0.5, "█" * 10), (1, "█" * 20), (7, "█" * 20), (0.03, "▋")])
def test_a_bar_is_as_long_as_its_part(part: float, text: str) -> None:
    assert render.bar(part).rstrip() == text


def _resulting(is_video: bool = False) -> event_pb2.ScoreEvent:
    return event_pb2.ScoreEvent(result=result(is_video))


def test_a_tenant_is_named_to_the_server(gateway: ScriptedGateway, folder: Path) -> None:
    assay(gateway, "--tenant", "acme", "photo.jpg")
    assert gateway.calls[0].config.tenant == "acme"


def test_a_composite_score_has_its_place_in_json() -> None:
    composed = result()
    composed.composite_score.CopyFrom(composed.score)
    reported = json.loads(render.judgement_json("photo.jpg", judgement_from_wire(composed)))
    assert reported["composite"] == reported["score"]


def test_without_a_composite_score_json_has_no_place_for_it(
    gateway: ScriptedGateway, folder: Path, capsys: Captured
) -> None:
    assay(gateway, "--json", "photo.jpg")
    assert "composite" not in capsys.readouterr().out


def test_how_to_look_at_a_video_reaches_the_server(gateway: ScriptedGateway, folder: Path) -> None:
    assay(gateway, "--sampling", "fps:0.5", "--key-frames", "only", "--window", "8", "--hop", "4", "film.mp4")
    video = gateway.calls[0].config.video
    assert (video.sampling.policy, video.sampling.frames_per_second) == (video_pb2.SAMPLING_POLICY_FPS, 0.5)
    assert video.sampling.key_frames == video_pb2.KEY_FRAMES_ONLY
    assert (video.windows.length.seconds, video.windows.hop.seconds) == (8, 4)


@pytest.mark.parametrize(
    ("text", "method", "percentile", "worst_count"),
    [("mean", 1, 0, 0), ("percentile", 2, 0, 0), ("percentile:25", 2, 25, 0), ("worst:4", 3, 0, 4)],
)
def test_how_to_pool_reaches_the_server(
    text: str, method: int, percentile: float, worst_count: int, gateway: ScriptedGateway, folder: Path
) -> None:
    assay(gateway, "--pool", text, "film.mp4")
    rule = gateway.calls[0].config.video.pooling
    assert (rule.method, rule.percentile, rule.worst_count) == (method, percentile, worst_count)


def test_without_a_word_about_videos_none_is_sent(gateway: ScriptedGateway, folder: Path) -> None:
    assay(gateway, "film.mp4")
    assert not gateway.calls[0].config.HasField("video")


@pytest.mark.parametrize("wrong", [["--sampling", "random"], ["--pool", "mean:3"], ["--sampling", "fps:fast"]])
def test_a_way_to_look_that_does_not_exist_is_wrong_use(gateway: ScriptedGateway, wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        assay(gateway, *wrong, "film.mp4")
    assert left.value.code == 2


def test_worst_and_best_windows_are_reported_with_their_times(
    gateway: ScriptedGateway, folder: Path, capsys: Captured
) -> None:
    assay(gateway, "film.mp4")
    reported = capsys.readouterr().err
    assert "    0:00.0 to 0:03.5   6.53  worst\n    0:04.0 to 0:07.5   6.53  best\n" in reported
    assert "  pooled: mean over windows, by time\n" in reported


def test_json_of_a_video_says_worst_best_and_pooling(gateway: ScriptedGateway, folder: Path, capsys: Captured) -> None:
    assay(gateway, "--json", "film.mp4")
    reported = json.loads(capsys.readouterr().out)
    assert (reported["worst"]["start_seconds"], reported["best"]["start_seconds"]) == (0.0, 4.0)
    assert (reported["pooling"], reported["partial"]) == ({"method": "mean"}, None)


def _cut_short(call: Call) -> Iterator[event_pb2.ScoreEvent]:
    ended = result(is_video=True)
    ended.partial.budget, ended.partial.message = "max_frames", "the video has more than 150 frames"
    ended.partial.reached_offset.FromMilliseconds(15_000)
    yield started(True)
    yield event_pb2.ScoreEvent(result=ended)


def test_a_partial_result_says_which_budget_ended_it_and_where(folder: Path, capsys: Captured) -> None:
    with ScriptedGateway(_cut_short) as gateway:
        assert assay(gateway, "film.mp4") == 0
    assert "PARTIAL, up to 0:15.0, 0 bytes: the video has more than 150 frames (max_frames)" in capsys.readouterr().err


def test_a_partial_result_is_marked_in_json(folder: Path, capsys: Captured) -> None:
    with ScriptedGateway(_cut_short) as gateway:
        assay(gateway, "--json", "film.mp4")
    assert json.loads(capsys.readouterr().out)["partial"]["reached_seconds"] == 15.0
