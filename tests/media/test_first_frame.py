"""What leaves while the upload runs: the first frame, as soon as its own bytes and the next 128 KiB have come."""

import pytest

from tests.media.first_frame import CONTAINERS, FIRST_BYTES, film, seconds_to_first_frame

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("name", CONTAINERS)
async def test_the_first_frame_does_not_wait_for_the_rest(pool, name):
    data = film(name)
    assert len(data) > 2 * FIRST_BYTES
    # `make first-frame` looks at the clock; here other tests may have the processor.
    assert await seconds_to_first_frame(pool, data[:FIRST_BYTES]) < 10
