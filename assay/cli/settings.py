"""What the command line takes from the environment."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from assay.rpc.settings import OptionalAddress, load


class ClientSettings(BaseSettings):
    """Each holds where the option of the same name is not given."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_")

    server: OptionalAddress = ""
    """The gateway to talk to where --server is not given; empty: 127.0.0.1:50051."""
    tls_ca: Annotated[str, Field(description="a PEM file, or system")] = ""
    """As --tls-ca: authorities of the gateway's certificate."""
    cert: Annotated[str, Field(description="a PEM file")] = ""
    """As --cert: our own certificate with its key."""
    token_file: Annotated[str, Field(description="a file")] = ""
    """As --token-file: holds the token or API key."""


def client_settings() -> ClientSettings:
    """SettingsError if a variable is misspelt or its value is refused."""
    return load(ClientSettings)
