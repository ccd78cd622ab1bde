"""Memory and disk of this machine, or of the container that the program runs in."""

import shutil
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60


def available_memory_bytes(cgroup: Path = _CGROUP, meminfo: Path = Path("/proc/meminfo")) -> int:
    """What a program can still take: the kernel's estimate, or what the container's limit leaves if that is less."""
    lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    return min(int(lines["MemAvailable"].split()[0]) << 10, _left_in_container(cgroup))


def free_disk_bytes(path: Path) -> int:
    """Where the path lies, or would lie once it is made."""
    return shutil.disk_usage(existing(path)).free


def existing(path: Path) -> Path:
    """The path, or the nearest directory above it that exists."""
    return next(each for each in (path.resolve(), *path.resolve().parents) if each.exists())


def _left_in_container(cgroup: Path) -> int:
    """Under cgroup v2 or v1; page cache that can be dropped counts as free."""
    for limit, used, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        if (cgroup / limit).is_file() and (text := (cgroup / limit).read_text().strip()) != "max":
            stat = (cgroup / limit).with_name("memory.stat").read_text().split()
            droppable = int(dict(zip(stat[::2], stat[1::2], strict=True)).get(cache, 0))
            return int(text) - int((cgroup / used).read_text()) + droppable
    return _UNLIMITED
