"""What can be set from outside: SCORING_* variables."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from assay.composite import CompositeWeights, weights_from_json
from assay.errors import CheckpointError
from assay.rpc.settings import ModelServiceSettings

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


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


def read_tenants(directory: Path) -> dict[str, CompositeWeights]:
    """Every tenant's weights by name. CheckpointError names the file that cannot be used, or an empty directory."""
    files = sorted(directory.glob("*.json"))
    if not files:
        raise CheckpointError(f"{directory} holds no TENANT.json; training/composite.py writes them")
    for file in files:
        if not _NAME.fullmatch(file.stem):
            raise CheckpointError(
                f"{file}: a tenant's name has 1 to 63 of a-z, 0-9, - and _, and begins with a-z or 0-9"
            )
    return {file.stem: weights_from_json(file.read_text(encoding="utf-8"), str(file)) for file in files}
