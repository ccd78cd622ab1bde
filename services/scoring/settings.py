"""What can be set from outside: SCORING_* variables."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from assay.rpc.settings import ModelServiceSettings


class ScoringSettings(ModelServiceSettings):
    """One field per variable; SCORING_ADDRESS is `address`."""

    model_config = SettingsConfigDict(env_prefix="SCORING_")

    composites: Annotated[
        Path | None, Field(description="a directory that holds a TENANT.json of composite weights per tenant")
    ] = None
    """Read once, at the start; none: no tenant is known."""
    max_in_flight: Annotated[int, Field(ge=1, le=256)] = 32
    """Calls answered at once; one more is refused as Busy. Most of them only wait for their transcript."""
    transcript_timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 120.0
    """Longest wait for the transcript after the early score: another service's model writes it meanwhile."""
