"""Processes: who is whose child and who still lives, as /proc tells it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """One process; the start time tells it from a later one with the same id."""

    pid: int
    parent_pid: int
    start_ticks: int
    """Since the machine was started."""
    name: str
    """At most 15 characters."""
    state: str
    """One letter, as it was when it was read: R runs, S sleeps, T is stopped, …"""

    @property
    def is_stopped(self) -> bool:
        """Whether a signal (SIGSTOP) or a debugger holds it now."""
        now = _read(self.pid)
        return now is not None and now.start_ticks == self.start_ticks and now.state in "Tt"

    @property
    def is_alive(self) -> bool:
        """False when it has ended, also while nobody has reaped it."""
        now = _read(self.pid)
        return now is not None and now.start_ticks == self.start_ticks


def children_of(pid: int) -> list[Process]:
    """Those that live now."""
    others = (_read(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [process for process in others if process is not None and process.parent_pid == pid]


def _read(pid: int) -> Process | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name stands in brackets and may itself hold spaces and brackets.
    name, rest = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
    return None if rest[0] in "ZXx" else Process(pid, int(rest[1]), int(rest[19]), name, rest[0])
