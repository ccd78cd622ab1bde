"""Tokens -> identities: JWTs of an issuer whose public keys are in a JWKS file, and API keys by their hashes."""

import hashlib
import hmac
import json
import logging
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jwt

from assay.errors import SettingsError, Unauthenticated
from assay.rpc.call import SCOPES, Identity
from assay.rpc.reloaded import Reloaded, content

_log = logging.getLogger(__name__)
ALGORITHMS = ("RS256", "ES256", "EdDSA")
CLOCK_SKEW_SECONDS = 60
_TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SCHEME = "bearer "


class Jwts:
    """Tokens of one issuer for one audience. Its keys are read again when their file changes."""

    def __init__(self, jwks: Path, issuer: str, audience: str, tenant_claim: str) -> None:
        """SettingsError if the file holds no key that can be used."""
        self._keys = Reloaded("jwks", [jwks], lambda: _read_jwks(jwks))
        self._issuer, self._audience, self._tenant_claim = issuer, audience, tenant_claim

    def identity(self, token: str) -> Identity | None:
        """Whose token it is; None if it is not a valid one."""
        try:
            claims = jwt.decode(
                token,
                self._key(token),
                algorithms=ALGORITHMS,
                audience=self._audience,
                issuer=self._issuer,
                leeway=CLOCK_SKEW_SECONDS,
                options={"require": ["exp", "iss", "aud", self._tenant_claim]},
            )
        except jwt.PyJWTError as refused:
            # For the operator alone, and nothing of the token.
            _log.info("a token is refused: %s", type(refused).__name__)
            return None
        tenant = claims[self._tenant_claim]
        if not (isinstance(tenant, str) and _TENANT.fullmatch(tenant)):
            _log.info("a token is refused: its tenant is not 1 to 63 of a-z, 0-9, - and _")
            return None
        return Identity(str(claims.get("sub", tenant)), tenant, _scopes_in(claims.get("scope", "")))

    def _key(self, token: str) -> jwt.PyJWK:
        """The key that the token names, if its algorithm is the token's. PyJWTError."""
        keys, head = self._keys.get(), jwt.get_unverified_header(token)
        key = keys.get(head["kid"]) if "kid" in head else next(iter(keys.values())) if len(keys) == 1 else None
        if key is None or key.algorithm_name != head.get("alg"):
            raise jwt.InvalidKeyError
        return key


class ApiKeys:
    """Keys by their hashes: a TOML file of `[[keys]]` with sha256, tenant, scopes and name."""

    def __init__(self, file: Path) -> None:
        """SettingsError if the file is none."""
        self._keys = Reloaded("api_keys", [file], lambda: _read_keys(file))

    def identity(self, token: str) -> Identity | None:
        """Whose key it is; None if it is nobody's. Takes as long for every key."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
        found = None
        for known, whose in self._keys.get():
            if hmac.compare_digest(known, digest):
                found = whose
        return found


class Tokens:
    """The tokens that a program accepts, of whichever kind."""

    def __init__(self, kinds: Iterable[Jwts | ApiKeys]) -> None:
        self._kinds = tuple(kinds)

    def identity(self, authorization: str) -> Identity:
        """Whose `authorization` this is. Unauthenticated, in one sentence for every reason."""
        if authorization[: len(_SCHEME)].lower() == _SCHEME:
            token = authorization[len(_SCHEME) :].strip()
            for kind in self._kinds:
                if identity := kind.identity(token):
                    return identity
        raise Unauthenticated


def _scopes_in(claim: object) -> frozenset[str]:
    words = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else ()
    return frozenset(word for word in words if word in SCOPES)


def _read_jwks(file: Path) -> Mapping[str, jwt.PyJWK]:
    try:
        read = jwt.PyJWKSet.from_dict(json.loads(content(file)))
        keys = {str(key.key_id or ""): key for key in read.keys if key.algorithm_name in ALGORITHMS}
    except (ValueError, TypeError, AttributeError, jwt.PyJWTError):
        raise SettingsError(f"{file} is no JSON Web Key Set; it looks like {{'keys': [...]}}") from None
    if not keys:
        raise SettingsError(f"{file} holds no key for {', '.join(ALGORITHMS)}")
    return keys


def _read_keys(file: Path) -> list[tuple[str, Identity]]:
    try:
        entries = tomllib.loads(content(file).decode("utf-8"))["keys"]
        return [_key(file, entry) for entry in entries]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        raise SettingsError(f"{file} is no list of API keys; `assay key` prints an entry for it") from None


def _key(file: Path, entry: Mapping[str, Any]) -> tuple[str, Identity]:
    known = {"name", "sha256", "tenant", "scopes", "names_tenants"}
    if unknown := sorted(set(entry) - known):
        raise SettingsError(f"{file}: {unknown[0]!r} is nothing that a key has; it has {', '.join(sorted(known))}")
    digest, tenant, scopes = str(entry["sha256"]), str(entry["tenant"]), entry.get("scopes", ["score"])
    if not _SHA256.fullmatch(digest) or not _TENANT.fullmatch(tenant):
        raise SettingsError(
            f"{file}: a key has a sha256 of 64 hex digits, and a tenant of 1 to 63 of a-z, 0-9, - and _"
        )
    if wrong := [scope for scope in scopes if scope not in SCOPES]:
        raise SettingsError(f"{file}: {wrong[0]!r} is no scope; there are {', '.join(SCOPES)}")
    name = str(entry.get("name", digest[:8]))
    return digest, Identity(name, tenant, frozenset(scopes), names_tenants=bool(entry.get("names_tenants", False)))
