"""Every rung judges the same pictures, and the table says how much longer than the engine alone each takes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from assay.checkpoint import read_checkpoint
from assay.errors import InvalidRequest
from assay.frame import Clip, Frame
from benchmarks.stack import pixels
from benchmarks.stack.__main__ import ALONE, as_they_are, profile, table
from benchmarks.stack.processor import THIS, cpu_seconds, cpu_since, idle_rates
from benchmarks.stack.rungs import BenchmarkPicture, OfTenant, StackRun, by_generator, measure
from tests.checkpoints import small_checkpoint
from tests.scripted_generator import ScriptedGenerator


def _pictures(count: int) -> list[BenchmarkPicture]:
    clips = [Clip((Frame(np.full((56, 56, 3), n, np.uint8)),), is_video=False) for n in range(count)]
    return [BenchmarkPicture.of(clip) for clip in clips]


async def test_a_generator_is_asked_what_both_services_ask() -> None:
    generator = ScriptedGenerator(texts={"subject": " a dog"}, direct="3.00", reasoned="5.00")
    found = await measure(by_generator(generator, small_checkpoint()), _pictures(2), in_flight=1)
    assert [score for _, score in found.judged] == pytest.approx([4.0, 4.0])
    assert all("a dog" in text for text, _ in found.judged)
    # For each picture the early score, the reasoning, and the score after it.
    assert [bool(each.answered) for each in generator.asked] == [False, False, True] * 2
    assert len(found.latencies) == 2


def test_pictures_of_the_models_size_are_not_enlarged_first(tmp_path: Path) -> None:
    nano = Path("checkpoints") / "nano"
    assert read_checkpoint(nano).pixels.enlarge_first_pixels is not None
    copy = read_checkpoint(as_they_are(nano, tmp_path / "nano"))
    assert copy.pixels == read_checkpoint(nano).pixels.model_copy(update={"enlarge_first_pixels": None})


async def test_a_rung_may_ask_in_a_name_of_its_own() -> None:
    generator = ScriptedGenerator()
    await measure(by_generator(OfTenant(generator, "a rung"), small_checkpoint()), _pictures(1), in_flight=1)
    assert {each.tenant for each in generator.asked} == {"a rung"}


@pytest.mark.parametrize(("other", "agrees"), [(("Why.", 3.0), True), (("Why!", 3.0), False), (("Why.", 3.1), False)])
def test_rungs_agree_if_words_and_scores_are_the_same(other: tuple[str, float], agrees: bool) -> None:
    assert StackRun(1.0, [1.0], [("Why.", 3.0)]).agrees_with(StackRun(1.0, [1.0], [other])) is agrees


def test_the_table_says_how_many_times_as_long_as_the_engine_alone() -> None:
    judged = [("Why.", 3.0)] * 4
    alone = StackRun(2.0, [0.5] * 4, judged, {"client": 1.0})
    stack = StackRun(2.5, [0.6] * 4, judged, {"client": 0.1, "gateway": 1.0})
    rows = table({(1, ALONE): [alone], (1, "whole stack"): [stack]}).splitlines()
    assert rows[-1] == "| 1 | whole stack | 600 | 1.20 | 1.60 | 1.25 | 275 | 1.10 |"


def test_the_profile_says_what_each_program_took_beyond_what_it_takes_idle() -> None:
    judged = [("Why.", 3.0)] * 4
    alone = StackRun(2.0, [0.5] * 4, judged, {"client": 1.0})
    stack = StackRun(2.0, [0.5] * 4, judged, {"client": 0.3, "gateway": 1.0})
    rows = profile({(1, ALONE): [alone] * 2, (1, "whole stack"): [stack] * 2}, {"gateway": 0.1}).splitlines()
    assert rows[2:] == [
        "| gateway | 100.0 | 0.0 | 200.0 |",
        "| client | 0.0 | 250.0 | 75.0 |",
        "| all | 100.0 | 250.0 | 275.0 |",
        "| x alone | | 1.00 | 1.10 |",
    ]


def test_processor_time_is_that_of_all_below() -> None:
    before = cpu_seconds()
    # The kernel counts in hundredths, user and system each rounded down.
    burn = "import time\nwhile time.process_time() < 0.4: pass\nprint('burnt', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"burnt\n"
        assert cpu_since(before)[Path(sys.executable).name] >= 0.3
        child.communicate(b"\n")


def test_a_program_that_waits_takes_next_to_nothing() -> None:
    # `cat` waits for its input.
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        rates = idle_rates(0.2)
        child.communicate()
    assert rates["cat"] < 0.2
    assert THIS in rates


async def test_pixels_are_measured_with_clips_that_are_refused() -> None:
    clip = _pictures(1)[0].clip
    await pixels._refused(ScriptedGenerator(failures={"start": InvalidRequest("no multiple of 28 px")}), clip, 3)
    with pytest.raises(AssertionError, match="cannot be answered"):
        await pixels._refused(ScriptedGenerator(), clip, 3)


def test_no_model_takes_a_clip_of_those_sizes() -> None:
    assert all(width_px % 28 for _, _, width_px in pixels._SIZES.values())
