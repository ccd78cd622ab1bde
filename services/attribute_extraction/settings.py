"""What can be set from outside: ATTRIBUTE_EXTRACTION_* variables."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from assay.rpc.settings import ModelServiceSettings


class AttributeExtractionSettings(ModelServiceSettings):
    """One field per variable; ATTRIBUTE_EXTRACTION_ADDRESS is `address`."""

    model_config = SettingsConfigDict(env_prefix="ATTRIBUTE_EXTRACTION_")

    max_in_flight: Annotated[int, Field(ge=1, le=256)] = 16
    """Calls answered at once; one more is refused as Busy."""
