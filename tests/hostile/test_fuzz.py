import pytest

from tests.gateway.serving import gateway
from tests.hostile.fuzz import DIED, PICTURES, STATUSES, VIDEOS, fuzz, mutant
from tests.scripted_generator import ScriptedGenerator


@pytest.mark.asyncio(loop_scope="session")
async def test_damaged_files_end_in_frames_or_in_a_refusal(pool):
    model = ScriptedGenerator()
    async with gateway(pool, model, model) as caller:
        reported = await fuzz(caller.stub, 0, 200)
    assert set(reported) <= STATUSES - {DIED}
    assert reported["INVALID_ARGUMENT"] > 20  # or the files were not damaged at all
    assert reported["OK"] > 20  # or nothing of the way behind the decoder was tried


def test_a_mutant_can_be_made_again():
    assert mutant(41) == mutant(41)
    assert {mutant(number)[0] for number in range(len(PICTURES + VIDEOS))} == set(PICTURES + VIDEOS)
