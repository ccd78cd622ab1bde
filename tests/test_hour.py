"""A long video takes no more memory than a short one: a quick sample of `python -m tests.hour`."""

import pytest

from assay.client import VideoOptions
from tests import hour


@pytest.mark.slow
async def test_ten_minutes_take_no_more_memory_than_one(tmp_path):
    found = []
    for minutes in (1, 10):
        path = tmp_path / f"{minutes}.mp4"
        hour.write_video(path, 60 * minutes, frames_per_second=1)
        served = hour.scripted(tmp_path, GATEWAY_DECODE_WORKERS="1", GATEWAY_DECODE_SPARES="0")
        video = VideoOptions(frames_per_second=1.0, key_frames="only", keep_repeats=True)
        found.append(await hour.run(served, path, "regular", video))
    short, long = found
    assert (len(short.judgement.windows), len(long.judgement.windows)) == (15, 150)
    assert long.judgement.partial is None
    assert long.peaks.together_mib <= hour.MOST_GROWTH * short.peaks.together_mib
