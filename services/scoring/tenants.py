"""Composite weights on disk: a directory with one TENANT.json per tenant, as training/composite.py writes them."""

import re
from pathlib import Path

from assay.composite import CompositeWeights, weights_from_json
from assay.errors import CheckpointError

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


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
