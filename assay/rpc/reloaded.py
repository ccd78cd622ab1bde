"""Values made of files, made again when a file changes: certificates, keys of issuers, API keys."""

import logging
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from assay.errors import SettingsError
from assay.rpc import metrics

_log = logging.getLogger(__name__)
T = TypeVar("T")
_Signature = tuple[tuple[int, int, int] | None, ...]


class Reloaded(Generic[T]):
    """What `read` makes of the files. A change that it refuses is logged and counted, and the last good value stays."""

    def __init__(self, kind: str, paths: Sequence[Path], read: Callable[[], T]) -> None:
        """`kind` names the files in log and metrics; `read` raises SettingsError, also here."""
        self._kind = kind
        self._paths = paths
        self._read = read
        self._reading = threading.Lock()
        """Handshakes ask from threads of gRPC's."""
        self._loaded_signature = self._signature()
        self._value = read()

    def get(self) -> T:
        """The value of the files as they are now, or as they were when they could last be read."""
        with self._reading:
            signature = self._signature()
            if signature != self._loaded_signature:
                self._loaded_signature = signature
                self._read_again()
            return self._value

    def _read_again(self) -> None:
        try:
            self._value = self._read()
        except SettingsError as broken:
            metrics.RELOAD_FAILURES.labels(self._kind).inc()
            _log.error("changed files are not used, the old ones stay: %s", broken.message)
        else:
            _log.info("changed files are used from now on", extra={"facts": {"kind": self._kind}})

    def _signature(self) -> _Signature:
        return tuple(_identity_of(path) for path in self._paths)


def _identity_of(path: Path) -> tuple[int, int, int] | None:
    # Through links: Kubernetes renews a Secret by pointing a link elsewhere.
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def content(path: Path) -> bytes:
    """The file's bytes. SettingsError names it if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as unreadable:
        raise SettingsError(f"{path} cannot be read: {unreadable.strerror}") from None
