"""Memory and disk that are left."""

from pathlib import Path

from assay.machine import available_memory_bytes

MEMINFO = "MemTotal:       24000000 kB\nMemAvailable:   20000000 kB\n"


def _files(directory: Path, **contents: str) -> Path:
    for name, text in contents.items():
        (directory / name.replace("_", ".", 1)).write_text(text)
    return directory


def test_what_the_kernel_says_is_available_where_no_container_limits_it(tmp_path: Path) -> None:
    _files(tmp_path, memory_max="max\n", meminfo=MEMINFO)
    assert available_memory_bytes(tmp_path, tmp_path / "meminfo") == 20_000_000 << 10


def test_a_containers_limit_counts_and_its_page_cache_can_be_dropped(tmp_path: Path) -> None:
    stat = "anon 600\ninactive_file 300\n"
    _files(tmp_path, memory_max="1000\n", memory_current="900\n", memory_stat=stat, meminfo=MEMINFO)
    assert available_memory_bytes(tmp_path, tmp_path / "meminfo") == 400
