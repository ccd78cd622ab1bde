"""What the command line takes from the environment."""

from pydantic_settings import BaseSettings, SettingsConfigDict

from assay.rpc.settings import OptionalAddress, load


class ClientSettings(BaseSettings):
    """ASSAY_SERVER: the gateway to talk to where --server is not given."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_")

    server: OptionalAddress = ""
    """The gateway to talk to where --server is not given; empty: 127.0.0.1:50051."""


def server_from_environment(default: str) -> str:
    """ASSAY_SERVER, or the default if it is not set. SettingsError if it is misspelt or no address."""
    return load(ClientSettings).server or default
