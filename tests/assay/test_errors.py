"""Errors: each kind has one status and one reason."""

import re
from pathlib import Path

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


def test_the_contract_names_every_status_that_an_error_can_have():
    contract = (Path(__file__).parents[2] / "protos/assay/v1/assay.proto").read_text()
    named = set(re.findall(r"^// - ([A-Z_]+):", contract, re.MULTILINE))
    assert {kind.grpc_status for kind in KINDS} <= named
