"""TLS between programs and from clients: PEM files that are read again when they change."""

import ssl
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import grpc

from assay.errors import SettingsError
from assay.rpc.reloaded import Reloaded, content


@dataclass(frozen=True, slots=True)
class Pem:
    """What a program shows of itself, and whom it believes."""

    chain: bytes
    key: bytes
    authorities: bytes | None
    """Of the other programs: the servers that are called, and the clients that call. None: those of the machine."""


class PemFiles:
    """A program's certificate and key, and the authorities of others, as the files are now."""

    def __init__(self, certificate: Path, key: Path, authorities: Path | None = None) -> None:
        """SettingsError if they cannot be used."""
        self.paths = certificate, key, authorities
        paths = [path for path in self.paths if path is not None]
        self._files = Reloaded("tls", paths, lambda: _read(certificate, key, authorities))

    def get(self) -> Pem:
        """What is in the files, or was when they could last be used."""
        return self._files.get()

    def server_credentials(self, require_client: bool) -> grpc.ServerCredentials:
        """A changed certificate is shown from the next handshake on.

        `require_client`: a client without a certificate of the authorities cannot connect.
        """
        shown = self.get()

        def configuration(pem: Pem) -> grpc.ServerCertificateConfiguration:
            return grpc.ssl_server_certificate_configuration([(pem.key, pem.chain)], pem.authorities)

        def changed() -> Any:
            """None: as before."""
            nonlocal shown
            if (pem := self.get()) is shown:
                return None
            shown = pem
            return configuration(pem)

        return grpc.dynamic_ssl_server_credentials(configuration(shown), changed, require_client)

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """For a connection to another program, which is shown our certificate."""
        pem = self.get()
        return grpc.ssl_channel_credentials(pem.authorities, pem.key, pem.chain)


@cache
def pem_files_at(certificate: Path, key: Path, authorities: Path | None = None) -> PemFiles:
    """The same for all of a process, so that a file that is broken is logged and counted once. SettingsError."""
    return PemFiles(certificate, key, authorities)


def chosen_pem_files(
    prefix: str, certificate: Path | None, key: Path | None, authorities: Path | None, needs_tls: bool = False
) -> PemFiles | None:
    """Of a program whose settings begin with the prefix; None without TLS. SettingsError if half of it is set, or the
    files cannot be used."""
    if certificate and key:
        return pem_files_at(certificate, key, authorities)
    if certificate or key or authorities or needs_tls:
        raise SettingsError(f"TLS needs {prefix}TLS_CERTIFICATE and {prefix}TLS_KEY; one of them is not set")
    return None


def _read(certificate: Path, key: Path, authorities: Path | None) -> Pem:
    pem = Pem(content(certificate), content(key), content(authorities) if authorities else None)
    # gRPC takes any bytes and fails at the first handshake; OpenSSL says at once whether they belong together.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError) as unusable:
        reason = getattr(unusable, "reason", None) or "they hold no certificate with its key in PEM"
        raise SettingsError(f"{certificate} and {key} cannot be used together: {reason}") from None
    if pem.authorities is not None:
        try:
            context.load_verify_locations(cadata=pem.authorities.decode("ascii"))
        except (ssl.SSLError, ValueError):
            raise SettingsError(f"{authorities} holds no certificate authority in PEM") from None
    return pem
