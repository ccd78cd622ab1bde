"""evaluation/tasks/zero_shot.py: one run under several poolings, next to the claim."""

from dataclasses import replace
from pathlib import Path

import pytest

from assay.client import AsyncClient
from data.rated import RatedFile
from evaluation.runs import FINAL, POOLINGS, Run, RunRow
from evaluation.tasks.zero_shot import repooled, scored_as_frames, zero_shot_table
from evaluation.variants import AUTHORS, FRAMES, Levers
from gateway.decode.jobs import DecodePool
from tests.assay.scripted_gateway import ScriptedGateway
from tests.media.build import media


def run_of(levers: Levers) -> Run:
    rows = [RunRow(f"{n}.mp4", n, {FINAL: n + 1.0}, (float(n), n + 2.0), (4, 4)) for n in range(4)]
    return Run("konvid", "koniq", "direct", (*rows, RunRow("x.mp4", 3.0, reason="BAD_MEDIA")), setting=str(levers))


def test_a_run_is_pooled_anew_from_its_clips() -> None:
    assert [row.scores.get(FINAL) for row in repooled(run_of(AUTHORS), "minimum").rows] == [0.0, 1.0, 2.0, 3.0, None]


def test_every_setting_stands_under_every_pooling() -> None:
    runs = [run_of(AUTHORS), run_of(replace(AUTHORS, frames_per_second=1.0))]
    assert len(zero_shot_table(runs).rows) == 2 * len(POOLINGS)


def test_a_video_that_failed_is_counted_in_every_row() -> None:
    table = zero_shot_table([run_of(AUTHORS)])
    assert {row[table.head.index("failed")] for row in table.rows} == {"1"}


def test_the_claim_and_the_base_model_are_quoted() -> None:
    assert "0.669 (base model 0.305)" in zero_shot_table([run_of(AUTHORS)]).notes[0]


async def as_frames(path: Path) -> tuple[RunRow, ScriptedGateway]:
    file = RatedFile(path, 3.0, 5.0, is_video=True)
    with ScriptedGateway() as gateway:
        async with AsyncClient(gateway.address) as client, DecodePool(workers=1) as decoder:
            levers = Levers(128 * 128, 2.0, modality=FRAMES)
            row, _ = await scored_as_frames(client, decoder, levers, file, path.name, "direct")
    return row, gateway


@pytest.mark.slow
async def test_a_video_as_frames_is_a_picture_for_every_half_second() -> None:
    row, gateway = await as_frames(media("mp4_faststart.mp4"))
    assert len(row.window_scores) == len(gateway.calls) == 8
    assert {call.method for call in gateway.calls} == {"StreamImage"}


@pytest.mark.slow
async def test_a_video_that_cannot_be_decoded_fails_as_a_row(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("not a video")
    row, _ = await as_frames(tmp_path / "text.mp4")
    assert (row.reason, dict(row.scores)) == ("BAD_MEDIA", {})
