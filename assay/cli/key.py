"""`assay key`: an API key, and the entry by which a gateway knows it."""

import hashlib
import json
import re
import secrets
import sys

from assay.errors import InvalidRequest
from assay.rpc.call import SCOPES

_TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_KEY_BYTES = 32


def run_key(tenant: str, scope_names: str, name: str) -> int:
    """The command; its exit code."""
    scopes = [scope.strip() for scope in scope_names.split(",") if scope.strip()]
    if unknown := [scope for scope in scopes if scope not in SCOPES]:
        raise InvalidRequest(f"{unknown[0]!r} is no scope; there are {', '.join(SCOPES)}", field="scopes")
    if not _TENANT.fullmatch(tenant):
        raise InvalidRequest("a tenant has 1 to 63 of a-z, 0-9, - and _, and begins with a-z or 0-9", field="tenant")
    key = f"assay_{secrets.token_urlsafe(_KEY_BYTES)}"
    digest = hashlib.sha256(key.encode()).hexdigest()
    entry = {"name": name or digest[:8], "sha256": digest, "tenant": tenant, "scopes": scopes}
    # JSON's strings and lists are TOML's.
    print("[[keys]]", *(f"{field} = {json.dumps(value)}" for field, value in entry.items()), "", sep="\n")
    print(f"the key, which is shown this once: {key}", file=sys.stderr)
    return 0
