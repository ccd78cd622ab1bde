"""TLS at Triton's own port: whom the real server lets in."""

import asyncio
import socket
import ssl
import subprocess
import sys
import urllib.request
from contextlib import suppress

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


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The real server with mTLS and metrics, its authority, and the files that it shows."""
    try:
        check_machine()
    except CannotInstall as unfit:
        pytest.skip(unfit.message)
    folder = tmp_path_factory.mktemp("served")
    authority = Authority(folder)
    shown = authority.issue("triton", "spiffe://assay/triton")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        metrics = f"127.0.0.1:{free.getsockname()[1]}"
    variables = dict(zip(("tls_certificate", "tls_key", "tls_authorities"), (*shown, authority.file), strict=True))
    variables |= {"tls_renewal_seconds": 0, "supervisor_metrics_address": metrics}
    checkpoint = write_tiny_checkpoint(folder / "tiny")
    with running_triton(
        checkpoint, folder / "log", **{name: str(value) for name, value in variables.items()}
    ) as server:
        yield server.address, authority, metrics


def client_context(authority):
    """Of one of our programs, for what is not gRPC."""
    context = ssl.create_default_context(cafile=authority.file)
    context.load_cert_chain(*authority.issue("prometheus", "spiffe://assay/prometheus"))
    return context


def shown_certificate(address, authority):
    """What the server shows now; nothing while it is away."""
    host, port = address.split(":")
    context = client_context(authority)
    with (
        suppress(OSError),
        socket.create_connection((host, int(port))) as plain,
        context.wrap_socket(plain, server_hostname=host) as spoken,
    ):
        return spoken.getpeercert(binary_form=True)
    return None


@pytest.mark.slow
def test_triton_answers_those_alone_that_show_a_certificate_of_its_authorities(served, tmp_path):
    address, authority, _ = served
    callers = {
        "one of ours": PemFiles(*authority.issue("scoring", "spiffe://assay/scoring"), authority.file),
        "of another authority": PemFiles(*Authority(tmp_path).issue("stranger"), authority.file),
        "plain text": None,
    }

    async def asked():
        return {name: await outcome(address, files) for name, files in callers.items()}

    found = asyncio.run(asked())
    assert found == {"one of ours": True, "of another authority": False, "plain text": False}


@pytest.mark.slow
def test_metrics_of_triton_and_its_supervisor_are_read_over_tls(served):
    _, authority, metrics = served
    with urllib.request.urlopen(f"https://{metrics}/metrics", context=client_context(authority)) as answer:
        names = {line.split("{")[0].split()[0] for line in answer.read().decode().splitlines() if line[0] != "#"}
    assert {"nv_inference_count", "assay_engine_waiting", "assay_build_info"} <= names


@pytest.mark.slow
async def test_a_service_shows_triton_a_certificate_that_was_renewed_while_it_serves(served, tmp_path):
    address, authority, _ = served
    certificate, key = Authority(tmp_path).issue("scoring")
    generator = TritonGenerator(address, files=PemFiles(certificate, key, authority.file), connect_timeout_seconds=3)
    with pytest.raises(ModelUnavailable):
        await generator.ready()
    for old, new in zip((certificate, key), authority.issue("scoring"), strict=True):
        old.write_bytes(new.read_bytes())
    assert (await generator.ready()).checkpoint_fingerprint
    await generator.close()


@pytest.mark.slow
async def test_triton_is_started_again_with_a_certificate_that_was_renewed(served):
    address, authority, _ = served
    before = shown_certificate(address, authority)
    client = PemFiles(*authority.issue("scoring"), authority.file)
    authority.issue("triton", "spiffe://assay/triton")
    async with asyncio.timeout(120):
        while shown_certificate(address, authority) in (before, None):  # noqa: ASYNC110 nothing tells
            await asyncio.sleep(0.2)
        while not await outcome(address, client):
            pass


def test_with_a_certificate_alone_triton_shows_it_and_lets_everybody_in(authority):
    assert flags(settings(*authority.issue("triton")))[0] == "--grpc-use-ssl=true"


def test_half_of_a_certificate_is_refused(authority):
    with pytest.raises(SettingsError, match="TRITON_SERVER_TLS_CERTIFICATE and TRITON_SERVER_TLS_KEY"):
        pem_files(settings(authority.issue("triton")[0]))


def test_metrics_beyond_loopback_need_the_same(tmp_path):
    environment = {"PATH": "", "TRITON_SERVER_SUPERVISOR_METRICS_ADDRESS": "0.0.0.0:0"}
    command = [sys.executable, "-m", "triton_server"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert "TRITON_SERVER_SUPERVISOR_METRICS_ADDRESS is not of the loopback range" in ended.stderr


@pytest.mark.parametrize(("shown", "is_open"), [(2, True), (3, False)])
def test_beyond_loopback_triton_starts_only_with_authorities(authority, tmp_path, shown, is_open):
    names = "TRITON_SERVER_TLS_CERTIFICATE", "TRITON_SERVER_TLS_KEY", "TRITON_SERVER_TLS_AUTHORITIES"
    files = dict(zip(names[:shown], map(str, (*authority.issue("triton"), authority.file)), strict=False))
    environment = {"PATH": "", "TRITON_SERVER_HOST": "0.0.0.0", "TRITON_SERVER_DIRECTORY": str(tmp_path), **files}
    ended = subprocess.run(
        [sys.executable, "-m", "triton_server"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ("would be served without TLS" in ended.stderr) is is_open
