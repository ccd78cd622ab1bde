"""Object stores: s3://BUCKET/KEY becomes a signed https address, and that is fetched as any other.

Signing needs no network, so an object store is asked over connections that are checked like all others. One table per
bucket in a TOML file, whose keys are those of obstore:

    ["s3://media"]
    region = "eu-central-1"
    endpoint = "https://objects.example.com"     # left out for AWS itself
    access_key_id = "…"
    secret_access_key = "…"
"""

import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from assay.errors import SettingsError, UriRefused
from assay.web.rules import Place, taken_apart

if TYPE_CHECKING:
    from obstore.store import S3Config

_SIGNED_FOR = timedelta(minutes=15)
# Without these the library would ask a metadata service for credentials, over connections that nobody checks.
_CREDENTIALS = ("access_key_id", "secret_access_key")
_SCHEME = "s3://"


class Buckets:
    """The buckets that an operator has set up."""

    def __init__(self, stores: Mapping[str, S3Store]) -> None:
        """By name."""
        self._stores = stores

    def __contains__(self, uri: str) -> bool:
        """Whether it is the address of an object."""
        return uri[: len(_SCHEME)].lower() == _SCHEME

    async def place(self, uri: str) -> Place:
        """Where the object can be got for the next minutes. UriRefused if its bucket is not set up."""
        name, _, key = uri[len(_SCHEME) :].partition("/")
        store = self._stores.get(name)
        if store is None:
            raise UriRefused(f"the bucket {_SCHEME}{name} is not set up: FETCH_BUCKETS does not name it", field="uri")
        if not key or any(part in ("", ".", "..") for part in key.split("/")):
            raise UriRefused(f"an object's address looks like {_SCHEME}{name}/KEY", field="uri")
        try:
            return taken_apart(await obstore.sign_async(store, "GET", key, _SIGNED_FOR))
        except BaseError:
            raise UriRefused(f"the key in {_SCHEME}{name} cannot be signed; check its spelling", field="uri") from None


def read_buckets(path: Path) -> Buckets:
    """SettingsError names the table that cannot be used."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise SettingsError(f"FETCH_BUCKETS: {path} cannot be read: {problem}") from None
    return Buckets({name.removeprefix(_SCHEME): _store(name, table) for name, table in tables.items()})


def _store(name: str, table: Any) -> S3Store:
    bucket = name.removeprefix(_SCHEME)
    if not (name.startswith(_SCHEME) and bucket and "/" not in bucket and isinstance(table, dict)):
        raise SettingsError(f'FETCH_BUCKETS: a table looks like ["s3://BUCKET"], got {name!r}')
    if missing := [key for key in _CREDENTIALS if not table.get(key)]:
        raise SettingsError(f"FETCH_BUCKETS: {name} lacks {' and '.join(missing)}")
    try:
        return S3Store(bucket, config=cast("S3Config", table), client_options={"allow_http": True})
    except (BaseError, ValueError, TypeError):
        # What the library says may repeat a secret.
        raise SettingsError(f"FETCH_BUCKETS: {name} has a key or value that obstore does not take") from None
