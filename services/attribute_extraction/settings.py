"""What can be set from outside: ATTRIBUTE_EXTRACTION_* variables."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from assay.rpc.settings import Address, ServerSettings


class AttributeExtractionSettings(ServerSettings):
    """One field per variable; ATTRIBUTE_EXTRACTION_ADDRESS is `address`."""

    model_config = SettingsConfigDict(env_prefix="ATTRIBUTE_EXTRACTION_")

    triton: Address = "127.0.0.1:8001"
    """gRPC side of the Triton server that has the model."""
    checkpoint: Annotated[Path, Field(description="a directory that holds an assay.toml")] = Path("checkpoints/nano")
    """Prompts, forms and budgets; must be of the checkpoint that Triton serves."""
    fingerprint: Annotated[
        str,
        Field(
            pattern=r"^([0-9a-f]{16}(-bfloat16|-int8)?)?$",
            description="16 hex digits, or with -bfloat16 or -int8; empty for any",
        ),
    ] = ""
    """The checkpoint that Triton must serve, as `assay checkpoint show` names it; until it does, not ready."""
    max_in_flight: Annotated[int, Field(ge=1, le=256)] = 16
    """Calls answered at once; one more is refused as Busy."""
    idle_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 30.0
    """Longest wait for the next message of a client, and for the next token of the model."""
