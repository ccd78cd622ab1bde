import json
import os
import subprocess
import sys

import pytest

from gateway.decode.jobs import DecodePool
from gateway.decode.protocol import PERMITTED
from gateway.decode.worker.sandbox import ATTEMPTS
from tests.gateway.decode.upload import VIDEO, decode
from tests.hostile.sandbox import cost, status_of
from tests.media.build import media


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
    harmless = "open a file", "create a file", "list a directory", "datagram socket", "fork", "spawn"
    program = (
        "import json, sys\n"
        "from gateway.decode.worker.sandbox import ATTEMPTS, _outcome\n"
        "print(json.dumps({name: _outcome(ATTEMPTS[name]) for name in sys.argv[1:]}))\n"
    )
    reported = subprocess.run([sys.executable, "-c", program, *harmless], capture_output=True, text=True, check=True)
    assert json.loads(reported.stdout) == dict.fromkeys(harmless, PERMITTED)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.asyncio(loop_scope="session")
async def test_under_root_a_worker_is_nobody(pool):
    assert {status_of(pid)["Uid"] for pid in pool.worker_pids} == {"65534"}


WITHOUT_LANDLOCK = """
import asyncio, errno, pyseccomp, sys
calls = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
calls.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "landlock_create_ruleset")  # as a kernel that does not know it
calls.load()
from assay.errors import AssayError
from gateway.decode.jobs import DecodePool

async def main():
    async with DecodePool(workers=1, spares=0, require_landlock=sys.argv[1] == "True") as pool:
        print(sorted(set((await pool.escapes()).values())))

try:
    asyncio.run(main())
except AssayError as refusal:
    print("refused:", refusal.message)
"""


@pytest.mark.parametrize("required", [False, True])
def test_a_kernel_without_landlock_is_named_and_refused_where_it_is_required(required):
    command = (sys.executable, "-c", WITHOUT_LANDLOCK, str(required))
    reported = subprocess.run(command, capture_output=True, text=True, check=True)
    if required:
        assert reported.stdout.startswith("refused: this kernel has no Landlock")
    else:
        assert reported.stdout == "['EPERM']\n"  # the other locks hold
        assert "this kernel has no Landlock" in reported.stderr


@pytest.mark.asyncio(loop_scope="session")
async def test_the_cost_of_the_lock_is_measured_on_both_sides():
    async with DecodePool(workers=1, spares=0) as lonely:
        (counted,) = await cost(lonely, media("mp4_faststart.mp4").read_bytes(), 2.0, rounds=1)
    assert min(counted.here) > 0
    assert counted.share < 2  # a small file, of which starting and ending is the most
