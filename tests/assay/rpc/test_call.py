"""assay/rpc/call.py: what holds for the call that a task answers, and what of it goes upstream."""

import asyncio
import math

import pytest

from assay.errors import InvalidRequest, OutOfTime, PermissionDenied, ServiceUnavailable
from assay.rpc import call


@pytest.fixture(autouse=True)
def _own_context():
    """The context of one test is no other's."""
    tokens = [(variable, variable.set(variable.get())) for variable in (call.request_id, call.priority, call._deadline)]
    yield
    for variable, token in tokens:
        variable.reset(token)


def test_an_id_that_may_stand_in_a_log_is_taken_as_it_is():
    call.set_request_id("photo-1")
    assert call.request_id.get() == "photo-1"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129])
def test_any_other_id_is_replaced_by_one_of_ours(given):
    call.set_request_id(given)
    assert len(call.request_id.get()) == 32


def test_control_characters_are_refused_under_an_id_of_ours():
    with pytest.raises(InvalidRequest):
        call.set_request_id("a\nb")
    assert len(call.request_id.get()) == 32


def test_too_much_metadata_is_refused():
    call.check_metadata([("key", "x" * 8000)])
    with pytest.raises(InvalidRequest, match="at most 8192 bytes"):
        call.check_metadata([("key", "x" * 8192)])


@pytest.mark.parametrize(("said", "class_"), [("live", "live"), ("urgent", "interactive"), (None, "interactive")])
def test_an_unknown_class_is_interactive(said, class_):
    call.set_priority({"assay-priority-class": said} if said else {})
    assert call.priority.get() == class_


def test_a_tenant_names_no_other():
    mine = call.Identity("key", "acme")
    assert (mine.tenant_for(""), mine.tenant_for("acme")) == ("acme", "acme")
    with pytest.raises(PermissionDenied):
        mine.tenant_for("other")


def test_where_nobody_is_known_any_tenant_may_be_named():
    assert call.ANYBODY.tenant_for("acme") == "acme"


@pytest.mark.parametrize(("wanted", "left", "allowed"), [(5.0, None, 5.0), (None, None, None), (5.0, 1000.0, 5.0)])
def test_a_call_upstream_takes_as_long_as_it_wants_where_time_is_left(wanted, left, allowed):
    call.set_deadline(left)
    assert call.upstream_timeout(wanted) == allowed


def test_a_call_upstream_takes_no_longer_than_is_left():
    call.set_deadline(1.0)
    assert call.upstream_timeout(1000.0) <= 1.0


async def test_a_block_ends_with_its_time():
    with pytest.raises(OutOfTime, match="no result within"):
        async with call.within(0.01):
            await asyncio.sleep(math.inf)


async def test_less_time_than_an_answer_takes_is_refused_at_once():
    call.set_deadline(0.5)
    with pytest.raises(OutOfTime, match="an answer takes 2 s at least"):
        async with call.within(10.0, least_seconds=2.0):
            raise AssertionError


async def test_a_service_that_is_gone_in_time_is_not_out_of_time():
    with pytest.raises(ServiceUnavailable):
        async with call.within(1000.0):
            raise ServiceUnavailable("gone")


def test_id_and_class_go_upstream():
    call.set_request_id("photo-1")
    call.set_priority({"assay-priority-class": "batch"})
    assert {("x-request-id", "photo-1"), ("assay-priority-class", "batch")} <= {*call.upstream_metadata()}
