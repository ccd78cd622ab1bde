"""evaluation/edited.py: the two services on real sockets with a scripted model, pictures through the decoder."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from assay.errors import ModelUnavailable
from assay.form import Choice, Form, Free
from assay.prompt import SCORE, answer_form
from assay.rpc.model import LiveModel
from assay.rpc.serve import listening
from assay.transcript import Transcript
from assay.v1 import attribute_extraction_pb2_grpc, scoring_pb2_grpc
from evaluation.edited import (
    AS_WRITTEN,
    DIRECT,
    EDITS,
    PROSE_EDITS,
    EditedRow,
    Part,
    edited_rows,
    put_together,
    taken_apart,
)
from services.attribute_extraction.service import AttributeExtractionService
from services.scoring.service import ScoringService
from tests.checkpoints import small_checkpoint
from tests.media.build import media
from tests.scripted_generator import ScriptedGenerator


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


@pytest.mark.slow
async def test_a_picture_is_scored_under_every_edit() -> None:
    (row,) = await rows(ScriptedGenerator(direct="3.72", reasoned="5.04"), media("jpeg.jpg"))
    assert set(row.scores) == {DIRECT, AS_WRITTEN, *EDITS}


@pytest.mark.slow
async def test_withheld_reasoning_gives_the_direct_score() -> None:
    (row,) = await rows(ScriptedGenerator(direct="3.72", reasoned="5.04"), media("jpeg.jpg"))
    assert (row.scores[DIRECT], row.scores[AS_WRITTEN]) == (pytest.approx(3.72), pytest.approx(5.04))


@pytest.mark.slow
async def test_the_model_goes_on_from_the_edited_grades() -> None:
    generator = ScriptedGenerator()
    await rows(generator, media("jpeg.jpg"))
    assert any(" 10" in asked.answered for asked in generator.asked)


@pytest.mark.slow
async def test_prose_has_no_grades_to_edit() -> None:
    (row,) = await rows(ScriptedGenerator({"reasoning": "Sharp."}), media("jpeg.jpg"), form="natural")
    assert set(row.scores) == {DIRECT, AS_WRITTEN, *PROSE_EDITS}


@pytest.mark.slow
async def test_a_file_that_is_no_picture_fails_under_every_edit(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not a picture")
    broken, whole = await rows(ScriptedGenerator(), tmp_path / "text.jpg", media("jpeg.jpg"))
    assert {failed.reason for failed in broken.failures.values()} == {"BAD_MEDIA"}
    assert whole.failures == {}


@pytest.mark.slow
async def test_reasoning_that_was_cut_is_unreadable() -> None:
    generator = ScriptedGenerator({"reasoning": "on and on"}, cut="reasoning")
    (row,) = await rows(generator, media("jpeg.jpg"), form="natural")
    assert {failed.reason for failed in row.failures.values()} == {"UNREADABLE_VERDICT"}


@pytest.mark.slow
async def test_a_model_that_is_gone_is_the_reason_of_its_rows() -> None:
    generator = ScriptedGenerator(failures={"score": ModelUnavailable("gone")})
    (row,) = await rows(generator, media("jpeg.jpg"))
    assert {failed.reason for failed in row.failures.values()} == {"MODEL_UNAVAILABLE"}


def form() -> Form:
    return answer_form(small_checkpoint(), "regular").before(SCORE)


def reported(reason: str = " fine", composition: str = " 7", clarity: str = " very clear") -> Transcript:
    texts = ["Reason:", reason, "\nComposition:", composition, "\nSubject:", " a dog", "\nBackground:", " a beach"]
    texts += ["\nClarity:", clarity, "\nThe final score is <"]
    return Transcript(tuple(text for text in texts if text), "f", True)


def by_name(parts: list[Part]) -> dict[str, str]:
    return {segment.name: text for segment, text in parts if isinstance(segment, Choice | Free)}


def edited(name: str, other: Transcript | None = None) -> dict[str, str]:
    return by_name(EDITS[name](taken_apart(form(), reported()), taken_apart(form(), other or reported())))


def test_a_transcript_is_put_together_as_it_was() -> None:
    assert put_together(taken_apart(form(), reported()), reported()) == reported()


def test_a_free_text_that_wrote_nothing_is_empty() -> None:
    assert by_name(taken_apart(form(), reported(reason="")))["composition_reason"] == ""


def test_a_transcript_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="does not follow its form"):
        taken_apart(form(), Transcript(("Something", " else"), "f", True))


def test_a_transcript_that_goes_on_is_refused() -> None:
    longer = Transcript((*reported().texts, "5"), "f", True)
    with pytest.raises(ValueError, match="goes on"):
        taken_apart(form(), longer)


@pytest.mark.parametrize(("edit", "grade"), [("best grades", " 10"), ("worst grades", " 1")])
def test_grades_are_replaced_and_words_stay(edit: str, grade: str) -> None:
    found = edited(edit)
    assert (found["composition"], found["composition_reason"]) == (grade, " fine")


def test_without_words_the_grades_stay() -> None:
    found = edited("no words")
    assert (found["composition"], found["composition_reason"]) == (" 7", "")


def test_another_pictures_words_leave_the_grades() -> None:
    found = edited("another picture's words", reported(reason=" poor", composition=" 2"))
    assert (found["composition"], found["composition_reason"]) == (" 7", " poor")


def test_another_pictures_grades_leave_the_words() -> None:
    found = edited("another picture's grades", reported(reason=" poor", composition=" 2"))
    assert (found["composition"], found["composition_reason"]) == (" 2", " fine")


@pytest.mark.parametrize("edit", EDITS)
def test_every_edit_ends_where_the_number_begins(edit: str) -> None:
    parts = taken_apart(form(), reported())
    assert put_together(EDITS[edit](parts, parts), reported()).text.endswith("The final score is <")
