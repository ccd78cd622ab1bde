import asyncio
import hashlib

import pytest

from data.published import SETS
from data.tables import BadDataSet
from gateway.decode.jobs import DecodePool
from tests.data import scenes
from tests.data.miniature import main, write_miniature
from tests.gateway.decode.upload import VIDEO, Decoded, upload


def contents(root):
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("name", SETS)
def test_a_miniature_is_the_same_every_time(mini, tmp_path, name):
    assert contents(write_miniature(name, tmp_path)) == contents(mini(name))


@pytest.mark.parametrize("name", SETS)
def test_a_miniature_is_tiny(mini, name):
    assert sum(path.stat().st_size for path in mini(name).rglob("*") if path.is_file()) < 800_000


def test_an_unknown_miniature_is_refused(tmp_path):
    with pytest.raises(BadDataSet, match="unknown data set 'para'"):
        write_miniature("para", tmp_path)


def test_a_miniature_is_not_written_over_something(mini):
    with pytest.raises(SystemExit, match="2"):
        main(["koniq", "--out", str(mini("koniq"))])


@pytest.mark.slow
async def test_the_gateway_decodes_a_miniature_video():
    decoded = Decoded()
    async with asyncio.timeout(20), DecodePool(workers=1, spares=0) as pool, pool.open(VIDEO) as job:
        await upload(job, scenes.mp4(1, 0.7), 65536)
        async for event in job.events():
            decoded.take(event)
    assert decoded.times == [0.0, 0.5, 1.0, 1.5]
