import pytest

from assay.errors import BadMedia, OverLimit
from gateway.decode.spec import DecodeLimits
from gateway.decode.worker.budget import Budget
from gateway.decode.worker.reader import UploadReader


def budget_of(file_bytes=1000, **limits):
    upload = UploadReader(iter([bytes(file_bytes), b""]).__next__, 10_000_000)
    upload.read_all()
    return Budget(DecodeLimits(**limits), upload)


def spend(budget, packets, size=1):
    for _ in range(packets):
        budget.packet(size)


def test_packets_that_yield_no_frame_are_not_read_for_ever():
    with pytest.raises(OverLimit, match="100 packets in a row"):
        spend(budget_of(max_packets_without_frame=100), 101)


def test_a_frame_pays_for_the_packets_before_it():
    budget = budget_of(max_packets_without_frame=100)
    spend(budget, 100)
    budget.frame(pixels=100, media_seconds=0.0)
    spend(budget, 100)


def test_one_packet_referenced_again_and_again_is_noticed():
    with pytest.raises(OverLimit, match="again and again"):
        spend(budget_of(file_bytes=100_000), 3, size=90_000)


def test_every_frame_is_measured_and_not_only_the_first():
    budget = budget_of(max_video_pixels=1000)
    budget.frame(pixels=1000, media_seconds=0.0)
    with pytest.raises(OverLimit, match="million pixels"):
        budget.frame(pixels=1001, media_seconds=0.04)


def test_longer_videos_are_granted_more_processor_time():
    assert DecodeLimits().cpu_budget_seconds(100.0) > DecodeLimits().cpu_budget_seconds(0.0)


def test_a_video_without_a_frame_is_refused():
    with pytest.raises(BadMedia, match="no frame"):
        budget_of().check_quality()
