"""`assay checkpoint prepare NAME`: a base model and an adapter become a directory that can be served.

Everything that can be missing is searched before the first byte is downloaded, and named in one sentence with the way
out: the hub, an adapter in safetensors, room on the disk.
"""

import json
import math
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from assay.checkpoint import read_checkpoint
from assay.cli.checkpoint import NotPrepared, check_servable, show
from assay.errors import CheckpointError
from assay.model_memory import BFLOAT16_BYTES, FLOAT32_BYTES, LIBRARIES_BYTES, available_memory_bytes
from assay.stack import checkout
from assay.weight_shapes import weight_shapes
from assay.weights import read_json
from training.recipe.hub import Hub, Snapshot

_TEXT = ("assay.toml", "README.md")
_OTHER_FILES = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")
_PREPROCESSOR = ("preprocessor_config.json", "chat_template.json", "chat_template.jinja")
_MERGE = ("training", "merge")


class _Source(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    repository: str
    revision: str = ""
    """A commit, branch or tag; empty for the newest."""
    folder: str = ""
    """Of the adapter inside its repository."""


class Sources(BaseModel):
    """sources.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: _Source
    adapter: _Source


@dataclass(frozen=True, slots=True)
class PrepareOptions:
    """What the command line asks for; see its help."""

    name: str
    out: Path | None = None
    hub: str | None = None
    cache: Path | None = None
    base: Path | None = None
    adapter: Path | None = None
    folder: str | None = None
    variant: str | None = None


def run_prepare(options: PrepareOptions) -> int:
    """The command; NotPrepared, CheckpointError or HubError says what is missing."""
    root = checkout()
    recipe = root / "checkpoints" / options.name
    out = options.out or root / "runs" / "checkpoints" / options.name
    sources = read_sources(recipe)
    variant = options.variant or read_checkpoint(recipe).variant
    _refuse_variant(recipe, variant)
    _refuse_occupied(out)
    hub = Hub(options.hub, options.cache)
    base, adapter = _found(hub, sources, options)
    hub.refuse_full([each for each in (base, adapter) if isinstance(each, Snapshot)], out)
    _refuse_too_little_memory(hub, base, adapter)
    taken = {name: each.commit for name, each in (("base", base), ("adapter", adapter)) if isinstance(each, Snapshot)}
    _say_unpinned(sources, taken)
    base_dir, adapter_dir = (hub.fetch(each) if isinstance(each, Snapshot) else each for each in (base, adapter))
    merge(root, base_dir, adapter_dir, out)
    finish(recipe, base_dir, out, variant, taken)
    show(out)
    return 0


def read_sources(recipe: Path) -> Sources:
    """CheckpointError if there is no such recipe, with those that there are, or if its sources.toml is misspelt."""
    path = recipe / "sources.toml"
    try:
        return Sources.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        known = sorted(each.parent.name for each in recipe.parent.glob("*/sources.toml"))
        raise CheckpointError(
            f"there is no recipe for {recipe.name!r}; there are {', '.join(known) or 'none'}"
        ) from None
    except (tomllib.TOMLDecodeError, ValidationError) as wrong:
        raise CheckpointError(f"{path}: {wrong}") from wrong


def _found(hub: Hub, sources: Sources, options: PrepareOptions) -> tuple[Snapshot | Path, Snapshot | Path]:
    """Base and adapter, as local directories where such were given, else as they lie on the hub."""
    for local in (options.base, options.adapter):
        if local is not None and not local.is_dir():
            raise CheckpointError(f"{local} is no directory")
    base, adapter = sources.base, sources.adapter
    folder = options.folder or adapter.folder
    return (
        options.base or hub.model(base.repository, base.revision),
        options.adapter or hub.adapter(adapter.repository, adapter.revision, folder),
    )


def needed_memory_bytes(config: Mapping[str, Any], adapter_bytes: int) -> int:
    """Of a merge: the programs' libraries, the adapter (in float32, of files that may hold half of that) and one
    weight, as it is stored if it is copied, or that and three times in float32 if it is merged. CheckpointError names
    what config.json lacks."""
    stored = FLOAT32_BYTES if "float32" in (config.get("dtype"), config.get("torch_dtype")) else BFLOAT16_BYTES
    sizes = {name: math.prod(sides) for name, sides in weight_shapes(config).items()}
    merged = max(size for name, size in sizes.items() if "layers." in name or "blocks." in name)
    weight = max(stored * max(sizes.values()), (stored + 3 * FLOAT32_BYTES) * merged)
    return LIBRARIES_BYTES + 2 * adapter_bytes + weight


def _refuse_too_little_memory(hub: Hub, base: Snapshot | Path, adapter: Snapshot | Path) -> None:
    directory = hub.fetch(base.only("config.json")) if isinstance(base, Snapshot) else base
    needed = needed_memory_bytes(read_json(directory / "config.json"), _weight_bytes(adapter))
    available = available_memory_bytes()
    if needed > available:
        raise NotPrepared(
            f"merging needs {needed / 1e9:.1f} GB of memory and {available / 1e9:.1f} GB are available; close other "
            "programs, or prepare on a larger machine"
        )


def _weight_bytes(where: Snapshot | Path) -> int:
    return (
        where.weight_bytes
        if isinstance(where, Snapshot)
        else sum(file.stat().st_size for file in where.glob("*.safetensors"))
    )


def _say_unpinned(sources: Sources, taken: Mapping[str, str]) -> None:
    for name, commit in taken.items():
        if not getattr(sources, name).revision:
            print(f"{name}: no revision is pinned; took {commit}, the newest (write it into sources.toml to repeat it)")


def merge(root: Path, base: Path, adapter: Path, out: Path) -> None:
    """Runs the recipe's merge, which proves itself. NotPrepared if it fails; it has said why on stderr."""
    out.parent.mkdir(parents=True, exist_ok=True)
    paths = ("--base", str(base.resolve()), "--adapter", str(adapter.resolve()), "--out", str(out.resolve()))
    done = subprocess.run([sys.executable, "-m", *_MERGE, *paths], cwd=root, check=False)
    if done.returncode:
        raise NotPrepared(f"the merge failed (exit code {done.returncode}); its last words are above")


def finish(recipe: Path, base: Path, out: Path, variant: str, taken: dict[str, str]) -> None:
    """Adds what the weights need besides them, and the record of where they come from."""
    for name in (*_OTHER_FILES, *_PREPROCESSOR):
        # What the merge wrote itself stays.
        if (base / name).is_file() and not (out / name).exists():
            shutil.copy(base / name, out / name)
    for name in _TEXT:
        shutil.copy(recipe / name, out / name)
    settings = out / "assay.toml"
    if variant:
        chosen = re.sub(
            r'(?m)^variant = ".*"$', f'variant = "{variant}"', settings.read_text(encoding="utf-8"), count=1
        )
        settings.write_text(chosen, encoding="utf-8")
    (out / "sources.lock.json").write_text(json.dumps(taken, indent=2) + "\n", encoding="utf-8")
    check_servable(out, read_checkpoint(out))


def _refuse_variant(recipe: Path, variant: str) -> None:
    variants = tomllib.loads((recipe / "assay.toml").read_text(encoding="utf-8")).get("variants", {})
    if variant and variant not in variants:
        raise CheckpointError(f"{recipe.name} has no variant {variant!r}; it has {', '.join(variants) or 'none'}")


def _refuse_occupied(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CheckpointError(f"{out} is there already; name another with --out, or look at it: assay checkpoint show")
