"""assay/rpc/validation.py: what the rules in the protos cannot say."""

import pytest

from assay.rpc.validation import InvalidMessage, check
from assay.v1 import assay_pb2, live_pb2


@pytest.mark.parametrize(
    ("seconds", "nanos"), [(3, -5), (-3, 5), (3, 1_000_000_000), (3, -1_000_000_000), (3, 2_147_483_647), (1 << 60, 0)]
)
@pytest.mark.parametrize("field", ["window", "hop"])
def test_a_duration_that_is_none_is_refused_by_name(field, seconds, nanos):
    request = live_pb2.ScoreLiveRequest(config={field: {"seconds": seconds, "nanos": nanos}})
    with pytest.raises(InvalidMessage) as refused:
        check(request)
    assert refused.value.field == f"config.{field}"


def test_a_malformed_duration_is_found_however_deep_it_lies():
    windows = {"length": {"seconds": 1, "nanos": -1}}
    with pytest.raises(InvalidMessage) as refused:
        check(assay_pb2.StreamVideoRequest(config={"video": {"windows": windows}}))
    assert refused.value.field == "config.video.windows.length"


def test_a_duration_to_the_nanosecond_is_taken():
    check(live_pb2.ScoreLiveRequest(config={"window": {"seconds": 1, "nanos": 999_999_999}}))


@pytest.mark.parametrize(
    "uri", ["nope", "", "https:/host/a.jpg", "https://", "https:// host", "//host/a.jpg", "mailto:me", "https://h/a b"]
)
def test_what_is_no_uri_is_refused_by_name(uri):
    with pytest.raises(InvalidMessage) as refused:
        check(assay_pb2.ScoreUriRequest(uri=uri))
    assert refused.value.field == "uri"


@pytest.mark.parametrize("uri", ["https://host/a.jpg", "s3://bucket/a/b.mp4", "HTTPS://host:8443?x=1", "ftp://host/a"])
def test_whether_a_uri_is_allowed_is_not_decided_by_its_form(uri):
    check(assay_pb2.ScoreUriRequest(uri=uri))
