"""Errors: each kind has one status and one reason."""

import grpc
import pytest

from assay import errors

KINDS = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.AssayError)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_a_status_that_grpc_knows(kind):
    assert kind.grpc_status in grpc.StatusCode.__members__


def test_no_two_errors_share_a_reason():
    reasons = [kind.reason for kind in KINDS]
    assert len(set(reasons)) == len(reasons)
