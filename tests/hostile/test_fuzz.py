import pytest

from tests.hostile.fuzz import DIED, PICTURES, STATUSES, VIDEOS, fuzz, mutant


@pytest.mark.asyncio(loop_scope="session")
async def test_damaged_files_end_in_frames_or_in_a_refusal(pool):
    told = await fuzz(pool, 0, 200)
    assert set(told) <= STATUSES - {DIED}
    assert told["INVALID_ARGUMENT"] > 20  # or the files were not damaged at all


def test_a_mutant_can_be_made_again():
    assert mutant(41) == mutant(41)
    assert {mutant(number)[0] for number in range(17)} == set(PICTURES + VIDEOS)
