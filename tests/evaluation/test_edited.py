"""evaluation/edited.py: the two services on real sockets with a scripted model, pictures through the decoder."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from assay.errors import ModelUnavailable
from assay.rpc.model import LiveModel
from assay.rpc.serve import listening
from assay.v1 import attribute_extraction_pb2_grpc, scoring_pb2_grpc
from evaluation.edited import AS_WRITTEN, DIRECT, EDITS, PROSE_EDITS, EditedRow, edited_rows
from services.attribute_extraction.service import AttributeExtractionService
from services.scoring.service import ScoringService
from tests.checkpoints import small_checkpoint
from tests.media.build import media
from tests.scripted_generator import ScriptedGenerator

pytestmark = pytest.mark.slow


@asynccontextmanager
async def services(generator: ScriptedGenerator) -> AsyncIterator[dict[str, str]]:
    """Both, over one model; their addresses."""
    extraction = AttributeExtractionService(generator, small_checkpoint(), LiveModel(generator.ready))
    scoring = ScoringService(generator, small_checkpoint(), LiveModel(generator.ready))

    def add_extraction(server: grpc.aio.Server) -> None:
        attribute_extraction_pb2_grpc.add_AttributeExtractionServiceServicer_to_server(extraction, server)

    def add_scoring(server: grpc.aio.Server) -> None:
        scoring_pb2_grpc.add_ScoringServiceServicer_to_server(scoring, server)

    async with (
        listening("127.0.0.1:0", add_extraction, []) as (health, one),
        listening("127.0.0.1:0", add_scoring, []) as (other_health, other),
    ):
        await health.set(True)
        await other_health.set(True)
        yield {"attribute_extraction": one, "scoring": other}


async def rows(generator: ScriptedGenerator, *paths: Path, form: str = "regular") -> list[EditedRow]:
    files = [(path.name, path, 3.0) for path in paths]
    async with services(generator) as addresses:
        return await edited_rows(addresses, small_checkpoint(), "natural" if form == "natural" else "regular", files)


async def test_a_picture_is_scored_under_every_edit() -> None:
    (row,) = await rows(ScriptedGenerator(direct="3.72", reasoned="5.04"), media("jpeg.jpg"))
    assert set(row.scores) == {DIRECT, AS_WRITTEN, *EDITS}


async def test_withheld_reasoning_gives_the_direct_score() -> None:
    (row,) = await rows(ScriptedGenerator(direct="3.72", reasoned="5.04"), media("jpeg.jpg"))
    assert (row.scores[DIRECT], row.scores[AS_WRITTEN]) == (pytest.approx(3.72), pytest.approx(5.04))


async def test_the_model_goes_on_from_the_edited_grades() -> None:
    generator = ScriptedGenerator()
    await rows(generator, media("jpeg.jpg"))
    assert any(" 10" in asked.answered for asked in generator.asked)


async def test_prose_has_no_grades_to_edit() -> None:
    (row,) = await rows(ScriptedGenerator({"reasoning": "Sharp."}), media("jpeg.jpg"), form="natural")
    assert set(row.scores) == {DIRECT, AS_WRITTEN, *PROSE_EDITS}


async def test_a_file_that_is_no_picture_fails_under_every_edit(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not a picture")
    broken, whole = await rows(ScriptedGenerator(), tmp_path / "text.jpg", media("jpeg.jpg"))
    assert {failed.reason for failed in broken.failures.values()} == {"BAD_MEDIA"}
    assert whole.failures == {}


async def test_reasoning_that_was_cut_is_unreadable() -> None:
    generator = ScriptedGenerator({"reasoning": "on and on"}, cut="reasoning")
    (row,) = await rows(generator, media("jpeg.jpg"), form="natural")
    assert {failed.reason for failed in row.failures.values()} == {"UNREADABLE_VERDICT"}


async def test_a_model_that_is_gone_is_the_reason_of_its_rows() -> None:
    generator = ScriptedGenerator(failures={"score": ModelUnavailable("gone")})
    (row,) = await rows(generator, media("jpeg.jpg"))
    assert {failed.reason for failed in row.failures.values()} == {"MODEL_UNAVAILABLE"}
