"""TLS at Triton's own port: whom the real server lets in."""

import asyncio
import subprocess
import sys

import pytest

from assay.errors import ModelUnavailable, SettingsError
from assay.rpc.tls import PemFiles
from assay.triton import TritonGenerator
from tests.certificates import Authority
from tests.tiny_checkpoint import write_tiny_checkpoint
from tests.triton import ROOT, running_triton
from triton_server.install import CannotInstall, check_machine
from triton_server.settings import TritonServerSettings
from triton_server.tls import flags, pem_files


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def settings(certificate=None, key=None, authorities=None):
    return TritonServerSettings(tls_certificate=certificate, tls_key=key, tls_authorities=authorities)


async def outcome(address, files):
    """Whether a caller with these files gets an answer of the model."""
    generator = TritonGenerator(address, files=files, connect_timeout_seconds=3)
    try:
        return (await generator.ready()).checkpoint_fingerprint != ""
    except ModelUnavailable:
        return False
    finally:
        await generator.close()


@pytest.mark.slow
def test_triton_answers_those_alone_that_show_a_certificate_of_its_authorities(authority, tmp_path):
    try:
        check_machine()
    except CannotInstall as unfit:
        pytest.skip(unfit.message)
    certificate, key = authority.issue("triton", "spiffe://assay/triton")
    (foreign := tmp_path / "foreign").mkdir()
    strangers = Authority(foreign).issue("stranger")
    callers = {
        "one of ours": PemFiles(*authority.issue("scoring", "spiffe://assay/scoring"), authority.file),
        "of another authority": PemFiles(*strangers, authority.file),
        "plain text": None,
    }
    shown = {"tls_certificate": str(certificate), "tls_key": str(key), "tls_authorities": str(authority.file)}
    with running_triton(write_tiny_checkpoint(tmp_path / "tiny"), tmp_path / "log", **shown) as server:

        async def asked():
            return {name: await outcome(server.address, files) for name, files in callers.items()}

        found = asyncio.run(asked())
    assert found == {"one of ours": True, "of another authority": False, "plain text": False}


def test_with_a_certificate_alone_triton_shows_it_and_lets_everybody_in(authority):
    assert flags(settings(*authority.issue("triton")))[0] == "--grpc-use-ssl=true"


def test_half_of_a_certificate_is_refused(authority):
    with pytest.raises(SettingsError, match="TRITON_SERVER_TLS_CERTIFICATE and TRITON_SERVER_TLS_KEY"):
        pem_files(settings(authority.issue("triton")[0]))


@pytest.mark.parametrize(("shown", "is_open"), [(2, True), (3, False)])
def test_beyond_loopback_triton_starts_only_with_authorities(authority, tmp_path, shown, is_open):
    names = "TRITON_SERVER_TLS_CERTIFICATE", "TRITON_SERVER_TLS_KEY", "TRITON_SERVER_TLS_AUTHORITIES"
    files = dict(zip(names[:shown], map(str, (*authority.issue("triton"), authority.file)), strict=False))
    environment = {"PATH": "", "TRITON_SERVER_HOST": "0.0.0.0", "TRITON_SERVER_DIRECTORY": str(tmp_path), **files}
    ended = subprocess.run(
        [sys.executable, "-m", "triton_server"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ("would be served without TLS" in ended.stderr) is is_open
