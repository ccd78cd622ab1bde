"""What an operator can set, as environment variables GATEWAY_…."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Gt
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from assay.rpc.access import TokenSettings
from assay.rpc.settings import Address, Hosts, OptionalAddress, OptionalServer, Origins, ServerSettings, Tenants
from gateway.decode.spec import DecodeLimits
from gateway.quotas import QuotaLimits
from gateway.upload import UploadLimits
from gateway.video_plan import VideoDefaults


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a request may take where its caller has no deadline, or a later one."""

    direct_seconds: Annotated[float, Gt(0)] = 3600.0
    """Longest request of the direct form."""
    regular_seconds: Annotated[float, Gt(0)] = 3600.0
    """Longest request of the regular form."""
    natural_seconds: Annotated[float, Gt(0)] = 3600.0
    """Longest request of the natural form."""
    least_seconds: Annotated[float, Ge(0)] = 0.05
    """With less time than this left a request is refused before anything is decoded."""


class GatewaySettings(TokenSettings, ServerSettings):
    """What every program has, and the gateway's own. Addresses are HOST:PORT (port 0: a free one) or unix:PATH."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    address: Address = "127.0.0.1:50051"
    """Where clients are served."""
    attribute_extraction: Address = "127.0.0.1:50052"
    """The attribute extraction service."""
    scoring: Address = "127.0.0.1:50053"
    """The scoring service."""
    fetch: OptionalServer = ""
    """The fetch service; empty: files are taken by upload only."""
    http_address: OptionalAddress = ""
    """Where the page, REST and gRPC-Web are served; empty: nowhere. Loopback alone."""
    http_hosts: Hosts = ()
    """Names that this server answers to over HTTP, besides those of loopback."""
    http_origins: Origins = ()
    """Other pages that may ask over HTTP."""
    http_spool_directory: str = ""
    """Where uploads in slices over HTTP wait; empty: the system's directory for temporary files."""
    http_spool_bytes: Annotated[int, Field(ge=1)] = 2 << 30
    """Size of all uploads in slices together."""
    http_max_uploads: Annotated[int, Field(ge=1, le=4096)] = 64
    """Uploads in slices at once."""
    http_upload_life_seconds: Annotated[float, Field(gt=0, le=86400)] = 600.0
    """So long after its last use an upload in slices is forgotten."""
    http_patience_seconds: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """So long the scoring of an upload goes on with nobody listening; a page that is reloaded joins it again."""
    decode_workers: Annotated[int, Field(ge=1, le=64)] = 2
    """Decode processes that compute at once; about as many as there are cores."""
    decode_spares: Annotated[int, Field(ge=0, le=64)] = 1
    """Further processes that stand by in case one dies."""
    decode_max_processes: Annotated[int, Field(ge=1, le=1024)] = 32
    """Decode processes at most, those included that wait for somebody to take their frames, with about 30 MB each."""
    decode_jobs_per_worker: Annotated[int, Field(ge=1)] = 200
    """Uploads after which a process is replaced."""
    decode_max_idle_bytes: Annotated[int, Field(ge=1)] = 300 << 20
    """Resident memory between two uploads above which a process is replaced."""
    require_landlock: bool = False
    """True: do not start on a kernel without Landlock. False: say so in the log and go on behind the other locks."""
    max_in_flight: Annotated[int, Field(ge=1, le=4096)] = 32
    """Requests at once; one more is refused with RESOURCE_EXHAUSTED before a byte of it is read. An upload whose client
    is slow gives its place to the next request."""
    queue_seconds: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """Longest wait of an upload for a decoder or a place, then it is BUSY; at once if places are likely held longer."""
    max_unfinished_uploads: Annotated[int, Field(ge=1, le=65536)] = 1024
    """Uploads at once that have not come to their end."""
    max_unfinished_uploads_per_peer: Annotated[int, Field(ge=1, le=65536)] = 128
    """Of one address (of one /64 network in IPv6); set it higher where all clients come through one proxy."""
    max_live_streams: Annotated[int, Field(ge=0, le=256)] = 4
    """Live streams at once, each of which keeps one decode process; 0: none are taken."""
    max_waiting_windows: Annotated[int, Field(ge=1, le=64)] = 2
    """Windows of a live stream that wait to be judged before the oldest is left out, or the client has to wait."""
    windows_at_once: Annotated[int, Field(ge=1, le=64)] = 2
    """Clips of one video that are judged at the same time."""
    heartbeat_seconds: Annotated[float, Field(gt=0, le=3600)] = 10.0
    """A streaming call that has nothing to tell for so long sends a heartbeat."""
    upload_spool_bytes: Annotated[int, Field(ge=0)] = 64 << 20
    """Bytes of one upload that may wait for a decoder in a sealed file in memory; the rest waits with its client."""
    spool_bytes: Annotated[int, Field(ge=0)] = 1 << 30
    """Bytes of all uploads together that may wait so."""
    max_queued: Annotated[int, Field(ge=0, le=1024)] = 8
    """Requests beyond max_in_flight whose files are taken in and wait for a place; one more is refused as BUSY."""
    upload: UploadLimits = UploadLimits()
    quotas: QuotaLimits = QuotaLimits()
    metrics_tenants: Tenants = ()
    """Tenants that have metrics of their own; the others are counted together."""
    deadlines: Deadlines = Deadlines()
    video: VideoDefaults = VideoDefaults()
    limits: DecodeLimits = DecodeLimits()

    def live_limits(self) -> UploadLimits:
        """How slow the client of a live stream may be, which may go on for ever."""
        return replace(self.upload, max_seconds=math.inf)

    def spool_path(self) -> Path | None:
        """The directory for uploads in slices; None for the system's."""
        return Path(self.http_spool_directory) if self.http_spool_directory else None
