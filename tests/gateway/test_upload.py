import asyncio

import pytest

from assay.errors import Busy, UploadStalled
from gateway.upload import UnfinishedUploads, UploadClock, UploadLimits, host_of

PATIENT = {"idle_seconds": 10.0, "grace_seconds": 10.0, "min_bytes_per_second": 1000.0, "max_seconds": 10.0}


async def sent(*pauses, size=10):
    """A chunk after each pause."""
    for pause in pauses:
        await asyncio.sleep(pause)
        yield bytes(size)


async def received(chunks, **limits):
    clock = UploadClock(UploadLimits(**{**PATIENT, **limits}))
    return [len(chunk) async for chunk in clock.timed(chunks)]


async def test_a_silent_client_is_ended():
    with pytest.raises(UploadStalled, match=r"nothing came for 0\.05 s"):
        await received(sent(0.0, 1.0), idle_seconds=0.05)


async def test_a_client_that_dribbles_is_ended_after_the_time_of_grace():
    with pytest.raises(UploadStalled, match=r"less than 1000 bytes per second came for 0\.1 s"):
        await received(sent(*[0.02] * 50), grace_seconds=0.1)


async def test_an_upload_that_takes_too_long_is_ended_however_fast_it_is():
    with pytest.raises(UploadStalled, match=r"more than the 0\.1 s allowed"):
        await received(sent(*[0.02] * 50, size=1_000_000), max_seconds=0.1)


async def test_a_pause_within_the_grace_is_forgiven_after_a_fast_stretch():
    pauses = [0.0, 0.15] * 3
    assert len(await received(sent(*pauses, size=1000), grace_seconds=0.4)) == 6


async def test_a_huge_beginning_buys_no_more_than_one_time_of_grace():
    async def beginning_then_dribble():
        yield bytes(1_000_000_000)
        async for chunk in sent(*[0.02] * 50):
            yield chunk

    with pytest.raises(UploadStalled, match="less than"):
        await received(beginning_then_dribble(), grace_seconds=0.1)


async def test_time_in_which_the_client_waits_for_us_is_not_counted():
    clock = UploadClock(UploadLimits(**{**PATIENT, "grace_seconds": 0.2, "max_seconds": 0.2}))
    count = 0
    async for _ in clock.timed(sent(*[0.0] * 3)):
        count += 1
        await asyncio.sleep(0.15)
    assert count == 3


async def test_an_empty_chunk_is_not_the_end():
    assert await received(sent(0.0, 0.0, size=0)) == [0, 0]


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("ipv4:192.0.2.7:50112", "192.0.2.7"),
        ("ipv6:%5B2001:db8::5%5D:50112", "2001:db8::/64"),
        ("ipv6:[2001:db8::ffff]:1", "2001:db8::/64"),
        ("ipv6:%5B::ffff:192.0.2.7%5D:50112", "192.0.2.7"),
        ("ipv6:%5Bfe80::1%25eth0%5D:80", "fe80::/64"),
        ("unix:", "unix:"),
        ("unix:/run/assay", "unix:/run/assay"),
    ],
)
def test_a_peer_is_known_by_what_its_machine_cannot_change(peer, host):
    assert host_of(peer) == host


def test_a_peer_may_have_so_many_uploads_unfinished_and_others_as_well():
    uploads = UnfinishedUploads(max_per_peer=2, max_total=3)
    first, _ = uploads.begin("ipv4:192.0.2.7:1"), uploads.begin("ipv4:192.0.2.7:2")
    with pytest.raises(Busy, match="2 uploads of yours are unfinished"):
        uploads.begin("ipv4:192.0.2.7:3")
    uploads.begin("ipv4:192.0.2.8:1")
    with pytest.raises(Busy, match="3 uploads are unfinished here"):
        uploads.begin("ipv4:192.0.2.9:1")
    first.close()
    first.close()
    assert uploads.begin("ipv4:192.0.2.7:3")


def test_an_upload_that_is_given_up_does_not_count_any_more():
    uploads = UnfinishedUploads(1, 1)
    for _ in range(3):
        with uploads.begin("unix:"):
            assert uploads.count == 1
    assert uploads.count == 0
