"""The decode benchmark: that it measures our path on a clip of its own, and that its table says what was measured."""

import pytest

from benchmarks.decode.__main__ import DecodeCost, Peer, table
from benchmarks.decode.clips import ENCODERS, clip


def test_the_table_has_medians_and_ratios_of_the_same_rounds():
    ours = [DecodeCost(2.0), DecodeCost(4.0), DecodeCost(3.0)]
    theirs = [DecodeCost(4.0), DecodeCost(4.0), DecodeCost(9.0)]
    found = {("1080p", "AV1", "every frame", "ours"): ours, ("1080p", "AV1", "every frame", "torchcodec"): theirs}
    assert table(found).splitlines()[0] == "| size | codec | frames wanted | ours | torchcodec | x ours |"
    assert table(found).splitlines()[-1] == "| 1080p | AV1 | every frame | 3.00 | 4.00 | 2.00 |"


def test_a_decoder_that_cannot_is_a_line_with_its_words():
    cell = ("4K", "AV1", "2 frames/s")
    failed = [DecodeCost(float("nan"), "0 of 5 frames came out")]
    text = table({(*cell, "ours"): [DecodeCost(1.0)], (*cell, "opencv"): failed})
    assert text.splitlines()[-1] == "| 4K | AV1 | 2 frames/s | 1.00 | 0 of 5 frames came out | |"


@pytest.fixture(scope="module", params=["ours", "ours, exact"])
def ours(request, tmp_path_factory):
    peer = Peer(request.param, tmp_path_factory.mktemp("environment"))
    yield peer
    peer.close()


@pytest.mark.parametrize("codec", ENCODERS)
def test_every_frame_of_a_clip_is_decoded_and_paid_for(ours, tmp_path, codec):
    small = clip(tmp_path, codec, "320x180", frames=25)
    every, some = (ours.decode(small, every, 168, 308) for every in (1, 12))
    assert (every.failed, some.failed) == ("", "")
    assert every.cpu_ms_per_frame > 0


def test_a_wrong_number_of_frames_is_no_measurement(ours, tmp_path):
    one = clip(tmp_path, "H.264", "320x180", frames=3)
    reported = ours.decode(type(one)(one.codec, one.size, one.path, frames=5), 1, 168, 308)
    assert reported.failed == "3 of 5 frames came out"
