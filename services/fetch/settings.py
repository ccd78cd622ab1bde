"""What can be set from outside: FETCH_* variables."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from assay.rpc.settings import Hosts, Networks, ServerSettings, WebSchemes
from assay.web import WebLimits, WebRules

_LIMITS = WebLimits()


class FetchSettings(ServerSettings):
    """One field per variable; FETCH_ADDRESS is `address`."""

    model_config = SettingsConfigDict(env_prefix="FETCH_")

    allowed_hosts: Hosts = ()
    """HOST, HOST:PORT or *.DOMAIN, with commas; empty: only buckets can be read, and without these no URI at all."""
    schemes: WebSchemes = ("https",)
    """http is neither secret nor safe from change on its way."""
    allowed_networks: Networks = ()
    """Networks that are not public and may be connected to all the same."""
    buckets: Annotated[Path | None, Field(description="a TOML file with a table per bucket")] = None
    """See services/fetch/buckets.py; none: only hosts can be asked."""
    authorities: Annotated[Path | None, Field(description="a PEM file of certificate authorities")] = None
    """Trusted in addition to the machine's own."""
    max_in_flight: Annotated[int, Field(ge=1, le=4096)] = 32
    """Files that are got at once; one more is refused as Busy."""
    connect_seconds: Annotated[float, Field(gt=0, le=120)] = _LIMITS.connect_seconds
    """To resolve the name, for each address, and for TLS."""
    idle_seconds: Annotated[float, Field(gt=0, le=3600)] = _LIMITS.idle_seconds
    """Longest wait for the next bytes."""
    max_seconds: Annotated[float, Field(gt=0, le=86400)] = _LIMITS.wait_seconds
    """Longest wait for a server in all; the time that scoring takes is not counted."""
    max_redirects: Annotated[int, Field(ge=0, le=5)] = _LIMITS.redirects
    """How often a server may send us on to another address."""

    def rules(self) -> WebRules:
        return WebRules(self.allowed_hosts, self.schemes, self.allowed_networks, prefix="FETCH_")

    def limits(self) -> WebLimits:
        return WebLimits(self.connect_seconds, self.idle_seconds, self.max_seconds, self.max_redirects)
