"""`assay doctor`: what is wrong, in sentences."""

import time

import pytest

from assay.cli.doctor import address_findings, machine_findings
from assay.client import Credentials
from assay.errors import InvalidRequest
from assay.rpc.authentication import ApiKeys, Tokens
from assay.rpc.security import Security
from assay.rpc.serve import listening
from assay.rpc.tls import PemFiles
from assay.v1 import assay_pb2_grpc
from tests.assay.test_client import refused_port
from tests.certificates import Authority
from tests.tokens import API_KEY, Issuer, write_api_keys


async def wrong_at(address, **credentials):
    """The sentences about what is wrong."""
    found = [each async for each in address_findings(address, Credentials(**credentials))]
    return " / ".join(each.sentence for each in found if not each.is_good)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def serving(security):
    class Answering(assay_pb2_grpc.AssayServiceServicer):
        async def StreamImage(self, requests, context):  # noqa: N802 the name is the contract's
            async for _ in requests:
                pass
            raise InvalidRequest("no config")
            yield

    return listening(
        "127.0.0.1:0",
        lambda server: assay_pb2_grpc.add_AssayServiceServicer_to_server(Answering(), server),
        [],
        security=security,
    )


def test_this_machine_can_be_examined():
    assert any("numpy is" in each.sentence for each in machine_findings())


async def test_where_nothing_listens_that_is_what_is_said():
    assert "nothing can be reached" in await wrong_at(f"127.0.0.1:{refused_port()}")


async def test_a_server_that_speaks_tls_is_known_and_its_certificate_that_is_nearly_over(authority, tmp_path):
    security = Security(
        PemFiles(*authority.issue("gateway"), authority.file), Tokens([ApiKeys(write_api_keys(tmp_path))])
    )
    async with serving(security) as (health, address):
        await health.set(True)
        assert "name its authority with --tls-ca" in await wrong_at(address)
        wrong = await wrong_at(address, tls_ca=authority.file, token="nonsense")
        assert "token is not accepted" in wrong
        assert "good for 1 more days" in wrong
        assert "token" not in await wrong_at(address, tls_ca=authority.file, token=API_KEY)


@pytest.mark.parametrize(
    ("begins_days", "ends_days", "said"),
    [(-3, -1, "its certificate ended 1.0 days ago"), (1, 20, "is this machine's clock right?")],
)
async def test_a_certificate_that_is_not_valid_now_is_named(authority, begins_days, ends_days, said):
    files = PemFiles(*authority.issue("gateway", "", begins_days, ends_days), authority.file)
    async with serving(Security(files)) as (_, address):
        assert said in await wrong_at(address, tls_ca=authority.file)


async def test_a_certificate_of_another_authority_is_named(authority, tmp_path):
    (foreign := tmp_path / "foreign").mkdir()
    files = PemFiles(*authority.issue("gateway", "", -1, 30), authority.file)
    async with serving(Security(files)) as (_, address):
        assert "does --tls-ca name its authority?" in await wrong_at(address, tls_ca=Authority(foreign).file)


@pytest.mark.parametrize(("claim", "said"), [("exp", "s ago by this machine's clock"), ("nbf", "the token begins in")])
async def test_a_token_that_is_not_valid_by_this_clock_is_named(tmp_path, claim, said):
    offset = {"exp": -3600, "nbf": 3600}[claim]
    token = Issuer(tmp_path).token(**{claim: int(time.time()) + offset})
    async with serving(Security()) as (_, address):
        assert said in await wrong_at(address, token=token)


async def test_whether_a_token_was_shown_or_is_refused_is_said(tmp_path):
    async with serving(Security(tokens=Tokens([ApiKeys(write_api_keys(tmp_path))]))) as (_, address):
        assert "no token was shown" in await wrong_at(address)
        assert "the token is not accepted" in await wrong_at(address, token="x")


async def test_another_release_is_named(monkeypatch):
    monkeypatch.setitem(address_findings.__globals__, "__version__", "0.0.1")
    async with serving(Security()) as (health, address):
        await health.set(True)
        assert "this is 0.0.1" in await wrong_at(address)


@pytest.mark.parametrize(
    ("setting", "said"),
    [("TRITON_SERVER_DIRECTORY", "there is no Triton in"), ("TRITON_SERVER_CHECKPOINT", "assay.toml is missing")],
)
def test_what_is_missing_on_this_machine_is_named(monkeypatch, tmp_path, setting, said):
    monkeypatch.setenv(setting, str(tmp_path / "nowhere"))
    assert any(said in each.sentence for each in machine_findings() if not each.is_good)
