"""Settings of who may call a program; what is made of them stands in `assay.rpc.security`."""

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode

PemPath = Annotated[Path | None, Field(description="a PEM file")]


def split_at_commas(value: object) -> object:
    """For settings that are lists."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


_SpiffeId = Annotated[str, Field(pattern=r"^spiffe://[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$")]
SpiffeIds = Annotated[
    tuple[_SpiffeId, ...],
    BeforeValidator(split_at_commas),
    NoDecode,
    Field(description="SPIFFE ids such as spiffe://assay/gateway, several with commas"),
]


class TlsSettings(BaseSettings):
    """How a program shows itself to others, and whom it lets in."""

    tls_certificate: PemPath = None
    """Its certificate with the chain, shown to callers and to called programs; read again when it changes."""
    tls_key: PemPath = None
    """The certificate's key."""
    tls_authorities: PemPath = None
    """Authorities of the certificates of other programs, in both directions; none: the machine's own."""
    tls_callers: SpiffeIds = ()
    """Programs that may call, by the URI in their certificate; with any, no one connects without a certificate."""
    insecure: bool = False
    """Listen beyond loopback although there is no TLS or no authentication."""
    reflection: Annotated[bool | None, Field(description="true or false")] = None
    """Whether callers may list the methods; not set: on loopback alone."""


class TokenSettings(BaseSettings):
    """Which tokens clients may show."""

    auth_jwks: Annotated[Path | None, Field(description="a JSON file")] = None
    """Public keys of the issuer of JWTs, as a JSON Web Key Set; read again when it changes."""
    auth_issuer: Annotated[str, Field(description="a URL, as the issuer writes it")] = ""
    """The `iss` that a JWT must have."""
    auth_audience: Annotated[str, Field(min_length=1, description="a name")] = "assay"
    """The `aud` that a JWT must have."""
    auth_tenant_claim: Annotated[str, Field(min_length=1, description="the name of a claim")] = "tenant"
    """The claim of a JWT that says whose it is."""
    auth_keys: Annotated[Path | None, Field(description="a TOML file")] = None
    """API keys by their hashes, as `assay key` prints them; read again when it changes."""


def is_loopback(address: str) -> bool:
    """Whether HOST:PORT or unix:PATH is reached from this machine alone; an empty one is reached from nowhere."""
    host = address.rpartition(":")[0].strip("[]")
    if not address or address.startswith("unix:") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
