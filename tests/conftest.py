"""For all tests."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine stalls any test now and then; a deadline would call that a failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

Miniatures = Callable[[str], Path]
"""Name of a data set -> root of its miniature, made once a session; not to be written to."""


@pytest.fixture(scope="session")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Miniatures:
    # Here, because most tests need neither scipy nor Pillow.
    from tests.data.miniature import write_miniature

    made: dict[str, Path] = {}

    def root(name: str) -> Path:
        if name not in made:
            made[name] = write_miniature(name, tmp_path_factory.mktemp(name))
        return made[name]

    return root


SHARED_SERVERS = ("stack", "triton_server")
"""Fixtures that take seconds to come up and are one for the session: who uses one runs in the same process."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Which tests stay together when several processes share them (`pytest -n 2 --dist loadgroup`): those of a file,
    and those of a server. Groups with slow tests come first, so that no process is left with one of them at the end."""
    slow = set()
    for item in items:
        servers = [name for name in SHARED_SERVERS if name in getattr(item, "fixturenames", ())]
        group = servers[0] if servers else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(group))
        if item.get_closest_marker("slow"):
            slow.add(group)
    items.sort(key=lambda item: _group(item) not in slow)


def _group(item: pytest.Item) -> str:
    marker = item.get_closest_marker("xdist_group")
    assert marker is not None
    return str(marker.args[0])
