"""What can be set from outside: INGEST_* variables."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from assay.rpc.access import split_at_commas
from assay.rpc.settings import Address, Hosts, Networks
from assay.web import WebLimits, WebRules

_Schemes = Annotated[
    tuple[Literal["https", "http", "rtsp"], ...],
    BeforeValidator(split_at_commas),
    NoDecode,
    Field(description="some of https, http and rtsp, with commas"),
]
_Seconds = Annotated[float, Field(gt=0, le=3600)]


class IngestSettings(BaseSettings):
    """One field per variable."""

    model_config = SettingsConfigDict(env_prefix="INGEST_", validate_default=True)

    source: Annotated[str, Field(description="https://HOST/PLAYLIST.m3u8 or rtsp://HOST/PATH", max_length=2048)] = ""
    """The playlist or camera to pull. A secret may stand in it, so it is no argument that others could list."""
    server: Address = "127.0.0.1:50051"
    """The gateway."""
    tls_ca: Annotated[str, Field(description="a PEM file, or system")] = ""
    """Authorities of the gateway's certificate, or the machine's own; empty: no TLS."""
    tls_certificate: Annotated[str, Field(description="a PEM file")] = ""
    """Our own certificate, if the gateway asks for one."""
    tls_key: Annotated[str, Field(description="a PEM file")] = ""
    """The certificate's key."""
    token_file: Annotated[str, Field(description="a file")] = ""
    """Holds the token or API key that is shown to the gateway."""
    allowed_hosts: Hosts = ()
    """HOST, HOST:PORT or *.DOMAIN, with commas: of playlists, segments and redirects; empty: nothing is pulled."""
    schemes: _Schemes = ("https",)
    """http and rtsp are neither secret nor safe from change on their way."""
    allowed_networks: Networks = ()
    """Networks that are not public and may be connected to all the same."""
    authorities: Annotated[Path | None, Field(description="a PEM file of certificate authorities")] = None
    """Trusted besides the machine's own."""
    max_file_bytes: Annotated[int, Field(ge=1)] = 64 << 20
    """Of one playlist or segment."""
    max_file_seconds: _Seconds = 60.0
    """Longest wait for one playlist or segment."""
    window_seconds: Annotated[float, Field(ge=0, le=60)] = 0.0
    """0: the length that the model was made for."""
    hop_seconds: Annotated[float, Field(ge=0, le=3600)] = 0.0
    """0: one window."""
    lateness: Literal["drop", "wait"] = "drop"
    """When windows come faster than they are judged: leave out the oldest, or read more slowly."""
    form: Literal["direct", "regular", "natural"] = "direct"
    """What is asked of the model: the number alone, ten attributes with reasons, or prose."""

    def rules(self) -> WebRules:
        return WebRules(self.allowed_hosts, self.schemes, self.allowed_networks, prefix="INGEST_")

    def limits(self) -> WebLimits:
        return WebLimits(wait_seconds=self.max_file_seconds)
