"""What an operator can set, as environment variables GATEWAY_…."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from assay.rpc.settings import Address, ServerSettings


class GatewaySettings(ServerSettings):
    """Beside what every program can be told. Addresses are HOST:PORT (port 0: a free one) or unix:PATH."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    address: Address = "127.0.0.1:50051"
    """Where clients are served."""
    attribute_extraction: Address = "127.0.0.1:50052"
    scoring: Address = "127.0.0.1:50053"
    decode_workers: Annotated[int, Field(ge=1, le=64)] = 2
    max_in_flight: Annotated[int, Field(ge=1, le=4096)] = 32
    """Requests at once; one more is refused with RESOURCE_EXHAUSTED before a byte of it is read."""
    windows_at_once: Annotated[int, Field(ge=1, le=64)] = 2
    """Clips of one video that are judged at the same time."""
    heartbeat_seconds: Annotated[float, Field(gt=0, le=3600)] = 10.0
    upload_idle_seconds: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """An upload that sends nothing for so long is ended."""
    max_image_bytes: Annotated[int, Field(ge=1)] = 32 << 20
    max_video_bytes: Annotated[int, Field(ge=1)] = 512 << 20
    max_duration_seconds: Annotated[float, Field(gt=0)] = 1200.0
    """Longest video, by the presentation time of its frames."""
