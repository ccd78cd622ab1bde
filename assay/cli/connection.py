"""Which server a command talks to, and what it shows there: options, then ASSAY_… variables, then the defaults."""

from assay.client import DEFAULT_SERVER, Credentials
from assay.rpc.environment import is_any_set


def connection_of(server: str, tls_ca: str, cert: str, token_file: str) -> tuple[str, Credentials]:
    """The server's address and the credentials. SettingsError names a variable that is misspelt."""
    # Loading pydantic takes a moment that a call without variables need not wait.
    if is_any_set("ASSAY_"):
        from assay.cli.settings import client_settings

        said = client_settings()
        server, tls_ca = server or said.server, tls_ca or said.tls_ca
        cert, token_file = cert or said.cert, token_file or said.token_file
    return server or DEFAULT_SERVER, Credentials(tls_ca=tls_ca, cert=cert, token_file=token_file)
