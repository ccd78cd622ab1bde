"""Cancellation: a cancel reaches the instance that writes, whichever instance Triton hands it to.

Instances of one server are processes with the same parent. Each listens on a datagram socket; one that is asked to
cancel a request that it does not have tells the others. Sockets are abstract ones of Linux: no file is left behind.
"""

import logging
import os
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_MAX_REMEMBERED = 4096
"""Ids whose cancel may come before the request; later ones push out the oldest."""
_MAX_ID_BYTES = 1024


class Cancellation:
    """Which requests are in this instance, and the way to those in others. Methods may be called from any thread."""

    def __init__(self, name: str, cancel: Callable[[str], None], group: str | None = None) -> None:
        """`name` is the instance's, unique in its server; `cancel` ends a request of this instance."""
        self._prefix = f"assay_cancel_{group or _server()}_"
        self._cancel = cancel
        self._lock = threading.Lock()
        self._here: set[str] = set()
        self._asked: OrderedDict[str, None] = OrderedDict()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{self._prefix}{name}")
        self._own = f"@{self._prefix}{name}"
        threading.Thread(target=self._listen, name="assay-cancellation", daemon=True).start()

    @contextmanager
    def submitting(self, request_id: str) -> Iterator[None]:
        """The request is handed to this instance's engine inside; a cancel that arrived before it is remembered."""
        with self._lock:
            self._here.add(request_id)
        try:
            yield
        except BaseException:
            self.end(request_id)
            raise
        with self._lock:
            is_cancelled = request_id in self._asked
        if is_cancelled:
            self._cancel(request_id)

    def end(self, request_id: str) -> None:
        """The request has sent its last event."""
        with self._lock:
            self._here.discard(request_id)
            self._asked.pop(request_id, None)

    def ask(self, request_id: str) -> None:
        """Cancels the request wherever it is."""
        if self._take(request_id):
            return
        for peer in self._peers():
            try:
                self._socket.sendto(request_id.encode(), f"\0{peer.removeprefix('@')}")
            except ConnectionRefusedError:
                logging.info("an instance has ended while a request was cancelled")

    def close(self) -> None:
        """No more cancels are heard."""
        self._socket.close()

    def _take(self, request_id: str) -> bool:
        """Cancels the request if it is in this instance, where it may still be on its way into the engine."""
        with self._lock:
            is_here = request_id in self._here
            self._asked[request_id] = None
            if len(self._asked) > _MAX_REMEMBERED:
                self._asked.popitem(last=False)
        if is_here:
            self._cancel(request_id)
        return is_here

    def _peers(self) -> list[str]:
        """Sockets of the server's other instances, as the kernel lists them now."""
        names = (line.rpartition(" ")[2] for line in Path("/proc/net/unix").read_text().splitlines())
        return [name for name in names if name.startswith(f"@{self._prefix}") and name != self._own]

    def _listen(self) -> None:
        while True:
            try:
                self._take(self._socket.recv(_MAX_ID_BYTES).decode(errors="replace"))
            except OSError:  # closed
                return


def _server() -> str:
    """The server that started this instance: its process id, and the time it started at."""
    stat = Path(f"/proc/{os.getppid()}/stat").read_text()
    return f"{os.getppid()}_{stat.rpartition(')')[2].split()[19]}"
