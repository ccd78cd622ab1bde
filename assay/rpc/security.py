"""Who may call a program, and from where; nothing is open by accident."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from assay.errors import PermissionDenied, SettingsError
from assay.rpc.access import TlsSettings, TokenSettings, is_loopback
from assay.rpc.authentication import ApiKeys, Jwts, Tokens
from assay.rpc.call import ANYBODY, Identity
from assay.rpc.settings import ModelServiceSettings
from assay.rpc.tls import PemFiles, chosen_pem_files

_log = logging.getLogger(__name__)
_OF_JWTS = {"auth_issuer", "auth_audience", "auth_tenant_claim"}
_PUBLIC = ("/grpc.health.",)
"""Balancers ask it, and it says nothing but whether the program serves."""


@dataclass(frozen=True, slots=True)
class Security:
    """What guards the methods of a program."""

    files: PemFiles | None = None
    tokens: Tokens | None = None
    callers: tuple[str, ...] = ()
    """SPIFFE ids of our own programs that may call."""
    scopes: Mapping[str, str] = field(default_factory=dict)
    """Full method name to the scopes, divided by blanks, that a caller needs; none where nothing is said."""
    reflection: bool = True

    @property
    def authenticates(self) -> bool:
        return bool(self.tokens or self.callers)

    def identity_of(self, method: str, authorization: str, spiffe_id: str = "") -> Identity:
        """Who makes the call. Unauthenticated or PermissionDenied."""
        if not self.authenticates or method.startswith(_PUBLIC):
            return ANYBODY
        if spiffe_id in self.callers:
            return Identity(spiffe_id, names_tenants=True)
        if self.tokens is None:
            raise PermissionDenied("this program is not on the list of those that may call here")
        caller = self.tokens.identity(authorization)
        for scope in self._needed(method).split():
            if scope not in caller.scopes:
                raise PermissionDenied(f"these credentials lack the scope {scope!r}")
        return caller

    def _needed(self, method: str) -> str:
        try:
            return self.scopes[method]
        except KeyError:
            return ""


OPEN = Security()
"""For loopback."""


def pem_files(settings: TlsSettings) -> PemFiles | None:
    """None without TLS. SettingsError if half of it is set, or the files cannot be used."""
    chosen = settings.tls_certificate, settings.tls_key, settings.tls_authorities
    return chosen_pem_files(_prefix(settings), *chosen, needs_tls=bool(settings.tls_callers))


def triton_files(settings: ModelServiceSettings) -> PemFiles | None:
    """What a Triton that speaks TLS is shown. SettingsError if there is nothing to show."""
    if not settings.triton_tls:
        return None
    if (files := pem_files(settings)) is None:
        prefix = _prefix(settings)
        raise SettingsError(f"{prefix}TRITON_TLS needs {prefix}TLS_CERTIFICATE and {prefix}TLS_KEY to show to Triton")
    return files


def tokens(settings: TokenSettings) -> Tokens | None:
    """None if no kind of token is set up. SettingsError."""
    prefix = _prefix(settings)
    if not settings.auth_jwks and (given := sorted(_OF_JWTS & settings.model_fields_set)):
        raise SettingsError(f"{prefix}{given[0].upper()} needs {prefix}AUTH_JWKS: without keys no token is checked")
    kinds: list[Jwts | ApiKeys] = []
    if settings.auth_keys:
        kinds.append(ApiKeys(settings.auth_keys))
    if settings.auth_jwks:
        if not settings.auth_issuer:
            raise SettingsError(
                f"{prefix}AUTH_JWKS needs {prefix}AUTH_ISSUER: keys alone do not say whose tokens count"
            )
        kinds.append(Jwts(settings.auth_jwks, settings.auth_issuer, settings.auth_audience, settings.auth_tenant_claim))
    return Tokens(kinds) if kinds else None


def security_of(
    settings: TlsSettings,
    addresses: Mapping[str, str],
    tokens: Tokens | None = None,
    scopes: Mapping[str, str] | None = None,
) -> Security:
    """What the settings ask for. SettingsError if an address, by the name of its setting, would be open by accident."""
    prefix, files = _prefix(settings), pem_files(settings)
    beyond = [name for name, address in addresses.items() if not is_loopback(address)]
    reflection = not beyond if settings.reflection is None else settings.reflection
    security = Security(files, tokens, settings.tls_callers, scopes or {}, reflection)
    if beyond and not (files and security.authenticates):
        missing = "without authentication" if files else "without TLS"
        if not settings.insecure:
            raise SettingsError(
                f"{prefix}{beyond[0].upper()} {addresses[beyond[0]]} is not of the loopback range, and would be served "
                f"{missing}; see docs/secure.md, or set {prefix}INSECURE=true if something in front does both",
                field=f"{prefix}INSECURE",
            )
        _log.warning("listening beyond loopback %s, as %sINSECURE says", missing, prefix)
    return security


def _prefix(settings: TlsSettings | TokenSettings) -> str:
    return str(settings.model_config.get("env_prefix", ""))
