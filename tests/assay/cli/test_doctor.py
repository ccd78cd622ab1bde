"""`assay doctor`: what is wrong, in sentences."""

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
from tests.tokens import API_KEY, write_api_keys


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
