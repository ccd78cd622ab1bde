"""Variants of a checkpoint: the same weights under another assay.toml.

Budgets and prompts are the checkpoint's own data and no request can change them; so a setting to be tried is a
checkpoint directory of its own, whose other files are links.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from assay.checkpoint import Checkpoint, read_checkpoint

SETTINGS = "assay.toml"


def write_variant(checkpoint: Path, directory: Path, changes: Mapping[str, Any]) -> Checkpoint:
    """Makes `directory` a checkpoint that differs in its settings alone; raises as write_settings does."""
    changed = write_settings(checkpoint, directory, changes)
    link_files(checkpoint, directory)
    return changed


def link_files(checkpoint: Path, directory: Path) -> None:
    """Everything but the settings: weights, tokeniser, configuration. OSError."""
    for path in checkpoint.iterdir():
        if path.name != SETTINGS and path.is_file():
            (directory / path.name).symlink_to(path.resolve())


def write_settings(checkpoint: Path, directory: Path, changes: Mapping[str, Any]) -> Checkpoint:
    """Writes `directory`/assay.toml: that of `checkpoint` with changes by dotted key ("clip.max_frames").

    Returns what it now says. KeyError for a key that the settings do not have, CheckpointError for a bad value.
    """
    # What is read has its variant laid over it already, so its name would point nowhere.
    settings = read_checkpoint(checkpoint).model_dump(mode="json", exclude_none=True, exclude={"variant"})
    for key, value in changes.items():
        _put(settings, key.split("."), value)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / SETTINGS).write_text("\n".join(toml_lines(settings)) + "\n", encoding="utf-8")
    return read_checkpoint(directory)


def _put(settings: dict[str, Any], keys: list[str], value: Any) -> None:
    *path, last = keys
    for key in path:
        settings = settings[key]
    if last not in settings:
        raise KeyError(f"no {last!r} in assay.toml; there is {', '.join(settings)}")
    settings[last] = value


def toml_lines(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    """A TOML document: plain values first, then a section for each table."""
    for key, value in table.items():
        if not isinstance(value, Mapping):
            yield f"{_quoted(key)} = {_quoted(value)}"
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield f"[{'.'.join(map(_quoted, (*path, key)))}]"
            yield from toml_lines(value, (*path, key))


def _quoted(value: Any) -> str:
    # JSON's strings, numbers, booleans and arrays are TOML's, as long as characters beyond ASCII stay as they are.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
