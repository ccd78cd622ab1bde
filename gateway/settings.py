"""What an operator can set, as environment variables GATEWAY_…."""

from dataclasses import fields
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from assay.rpc.settings import Address, OptionalServer, ServerSettings
from gateway.decode_spec import DecodeLimits

_BUDGET = DecodeLimits()


class GatewaySettings(ServerSettings):
    """Beside what every program can be told. Addresses are HOST:PORT (port 0: a free one) or unix:PATH."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    address: Address = "127.0.0.1:50051"
    """Where clients are served."""
    attribute_extraction: Address = "127.0.0.1:50052"
    scoring: Address = "127.0.0.1:50053"
    fetch: OptionalServer = ""
    """The fetch service; empty: files are taken by upload only."""
    decode_workers: Annotated[int, Field(ge=1, le=64)] = 2
    """Uploads decoded at once, each in a process of its own."""
    decode_spares: Annotated[int, Field(ge=0, le=64)] = 1
    """Further processes that stand by in case one dies."""
    decode_jobs_per_worker: Annotated[int, Field(ge=1)] = 200
    """Uploads after which a process is replaced."""
    decode_max_idle_bytes: Annotated[int, Field(ge=1)] = 300 << 20
    """Resident memory between two uploads above which a process is replaced."""
    require_landlock: bool = False
    """True: do not start on a kernel without Landlock. False: say so in the log and go on behind the other locks."""
    max_in_flight: Annotated[int, Field(ge=1, le=4096)] = 32
    """Requests at once; one more is refused with RESOURCE_EXHAUSTED before a byte of it is read."""
    max_live_streams: Annotated[int, Field(ge=0, le=256)] = 4
    """Live streams at once, each with a decode process of its own; 0: none are taken."""
    max_waiting_windows: Annotated[int, Field(ge=1, le=64)] = 2
    """Windows of a live stream that wait to be judged before the oldest is left out, or the client has to wait."""
    windows_at_once: Annotated[int, Field(ge=1, le=64)] = 2
    """Clips of one video that are judged at the same time."""
    heartbeat_seconds: Annotated[float, Field(gt=0, le=3600)] = 10.0
    upload_idle_seconds: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """An upload that sends nothing for so long is ended."""
    max_image_bytes: Annotated[int, Field(ge=1)] = 32 << 20
    max_video_bytes: Annotated[int, Field(ge=1)] = 512 << 20
    max_duration_seconds: Annotated[float, Field(gt=0)] = 1200.0
    """Longest video, by the presentation time of its frames."""

    # Budgets of one decode; what each means stands in `gateway.decode_spec.DecodeLimits`.
    max_image_pixels: Annotated[int, Field(ge=1)] = _BUDGET.max_image_pixels
    max_video_pixels: Annotated[int, Field(ge=1)] = _BUDGET.max_video_pixels
    max_streams: Annotated[int, Field(ge=1)] = _BUDGET.max_streams
    max_samples: Annotated[int, Field(ge=1)] = _BUDGET.max_samples
    max_index_bytes: Annotated[int, Field(ge=1)] = _BUDGET.max_index_bytes
    max_frames: Annotated[int, Field(ge=1)] = _BUDGET.max_frames
    max_packets_without_frame: Annotated[int, Field(ge=1)] = _BUDGET.max_packets_without_frame
    max_read_ratio: Annotated[float, Field(ge=1)] = _BUDGET.max_read_ratio
    max_corrupt_share: Annotated[float, Field(ge=0, le=1)] = _BUDGET.max_corrupt_share
    max_cpu_seconds: Annotated[float, Field(gt=0)] = _BUDGET.max_cpu_seconds
    cpu_seconds_per_media_second: Annotated[float, Field(ge=0)] = _BUDGET.cpu_seconds_per_media_second
    max_wall_seconds: Annotated[float, Field(gt=0)] = _BUDGET.max_wall_seconds
    wall_seconds_per_media_second: Annotated[float, Field(ge=0)] = _BUDGET.wall_seconds_per_media_second
    max_memory_bytes: Annotated[int, Field(ge=64 << 20)] = _BUDGET.max_memory_bytes

    def decode_limits(self) -> DecodeLimits:
        """The budgets of one decode."""
        own = {each.name: getattr(self, each.name) for each in fields(DecodeLimits) if each.name != "max_upload_bytes"}
        return DecodeLimits(max_upload_bytes=self.max_video_bytes, **own)
