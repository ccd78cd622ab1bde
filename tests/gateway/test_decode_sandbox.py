import json
import os
import subprocess
import sys

import pytest

from gateway.decode_wire import PERMITTED
from gateway.decode_worker.escape import ATTEMPTS
from tests.gateway.decode_upload import VIDEO, decode
from tests.hostile.sandbox import status_of


@pytest.mark.asyncio(loop_scope="session")
async def test_the_worker_that_serves_gets_through_nowhere(pool):
    await decode(pool, "mp4_faststart.mp4", VIDEO)
    outcomes = await pool.escapes()
    assert set(outcomes) == set(ATTEMPTS)
    assert PERMITTED not in outcomes.values()


@pytest.mark.asyncio(loop_scope="session")
async def test_a_worker_still_serves_after_it_tried_to_escape(pool):
    await pool.escapes()
    assert len((await decode(pool, "mp4_faststart.mp4", VIDEO)).frames) == 8


@pytest.mark.asyncio(loop_scope="session")
async def test_a_worker_is_filtered_and_never_root(pool):
    for pid in pool.worker_pids:
        status = status_of(pid)
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        assert status["Uid"] != "0"


def test_the_attempts_succeed_where_nothing_stops_them():
    harmless = "open a file", "create a file", "list a directory", "datagram socket", "fork", "thread"
    program = (
        "import json, sys\n"
        "from gateway.decode_worker.escape import ATTEMPTS, _outcome\n"
        "print(json.dumps({name: _outcome(ATTEMPTS[name]) for name in sys.argv[1:]}))\n"
    )
    told = subprocess.run([sys.executable, "-c", program, *harmless], capture_output=True, text=True, check=True)
    assert json.loads(told.stdout) == dict.fromkeys(harmless, PERMITTED)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.asyncio(loop_scope="session")
async def test_under_root_a_worker_is_nobody(pool):
    assert {status_of(pid)["Uid"] for pid in pool.worker_pids} == {"65534"}
