"""assay/rpc/access.py: who is let in, from the environment."""

import pytest
from pydantic import ValidationError

from assay.rpc.access import TlsSettings, is_loopback


@pytest.mark.parametrize("address", ["127.0.0.1:1", "[::1]:1", "localhost:1", "unix:/run/x", "127.8.8.8:1", ""])
def test_this_machine_alone_reaches_loopback(address):
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "host:1", "localhost.example:1"])
def test_others_reach_anything_else(address):
    assert not is_loopback(address)


def test_callers_are_named_by_their_certificates_uris():
    settings = TlsSettings(tls_callers=" spiffe://assay/gateway , spiffe://assay/ingest,")
    assert settings.tls_callers == ("spiffe://assay/gateway", "spiffe://assay/ingest")


@pytest.mark.parametrize("named", ["gateway", "https://assay/gateway", "spiffe://", "spiffe://assay/a b"])
def test_what_is_no_spiffe_id_is_refused(named):
    with pytest.raises(ValidationError):
        TlsSettings(tls_callers=named)
