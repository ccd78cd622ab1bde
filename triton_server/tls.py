"""TLS at Triton's gRPC port: what Triton is started with, when again, and the supervisor as one of its clients.

Triton knows no list of callers: with authorities it lets in every program that shows a certificate of theirs. It reads
its files once, at its start.
"""

import math
import random
import time

from cryptography import x509

from assay.rpc.tls import PemFiles, chosen_pem_files
from assay.triton import TritonGenerator
from triton_server.settings import TritonServerSettings


def pem_files(settings: TritonServerSettings) -> PemFiles | None:
    """None without TLS. SettingsError if half of it is set, or the files cannot be used."""
    return chosen_pem_files("TRITON_SERVER_", settings.tls_certificate, settings.tls_key, settings.tls_authorities)


class Renewal:
    """Of one life of a server: it is over some time after its files have changed, for the next to show them."""

    def __init__(self, settings: TritonServerSettings) -> None:
        """To be made before the server starts. The time is by chance, as replicas get their files together."""
        self._files = pem_files(settings)
        self._shown = self._files.get() if self._files else None
        self._spread_seconds = settings.tls_renewal_seconds
        self._due_at_seconds = math.inf

    @property
    def is_due(self) -> bool:
        if self._files and self._due_at_seconds == math.inf and self._files.get() is not self._shown:
            self._due_at_seconds = time.monotonic() + random.uniform(0, self._spread_seconds)
        return time.monotonic() >= self._due_at_seconds


def flags(settings: TritonServerSettings) -> list[str]:
    """For the command line of tritonserver; none without TLS."""
    if not settings.tls_certificate or not settings.tls_key:
        return []
    own = [
        f"--grpc-server-cert={settings.tls_certificate.resolve()}",
        f"--grpc-server-key={settings.tls_key.resolve()}",
    ]
    if settings.tls_authorities is None:
        return ["--grpc-use-ssl=true", *own]
    return ["--grpc-use-ssl-mutual=true", *own, f"--grpc-root-cert={settings.tls_authorities.resolve()}"]


def client(address: str, settings: TritonServerSettings, idle_timeout_seconds: float) -> TritonGenerator:
    """Of the server at this address, which shows the certificate of the settings under one of its own names."""
    files = pem_files(settings)
    name = _name_in(files.get().chain) if files else ""
    return TritonGenerator(address, idle_timeout_seconds=idle_timeout_seconds, files=files, server_name=name)


def _name_in(chain: bytes) -> str:
    """The first DNS name of the certificate; empty if there is none."""
    try:
        names = x509.load_pem_x509_certificate(chain).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ""
    return next(iter(names.value.get_values_for_type(x509.DNSName)), "")
