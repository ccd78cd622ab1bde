"""The stack with small stand-in programs: real processes, real signals, no model."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from assay.errors import CheckpointError
from assay.stack import STAGES, NoCheckout, Part, Stack, StackError, checkout
from assay.stack.program import Backoff
from benchmarks.stack.running import running

ROOT = Path(__file__).parents[2]

STAND_IN = """
import os, signal, sys, time
def end(*_):
    print("asked to end", file=sys.stderr, flush=True)
    open("ends", "a").write(NAME + " ")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("settings", os.environ.get("NEEDS", ""), file=sys.stderr, flush=True)
open("starts", "a").write(NAME + " ")
open(NAME + ".pid", "w").write(str(os.getpid()))
"""
SERVES = "print('ready', NAME, '127.0.0.1:' + str(1000 + len(NAME)), flush=True)\ntime.sleep(60)\n"
DIES = "print('no model here', file=sys.stderr)\nsys.exit(7)\n"
DIES_LATER = "print('ready', NAME, '127.0.0.1:1', flush=True)\ntime.sleep(0.1)\nsys.exit(9)\n"
NEVER_READY = "time.sleep(60)\n"
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVES
HAS_CHILD = "import subprocess\nopen('child.pid', 'w').write(str(subprocess.Popen(['sleep', '60']).pid))\n" + SERVES
LACKS_A_LIBRARY = "import no_such_library\n"
DIES_ONCE = (
    "print('ready', NAME, '127.0.0.1:1', flush=True)\n"
    "if os.path.exists('again'):\n    time.sleep(60)\n"
    "open('again', 'w').close()\ntime.sleep(0.2)\nprint('out of memory', file=sys.stderr)\nsys.exit(9)\n"
)
SERVES_LATE = "time.sleep(0.5)\n" + SERVES

Make = Callable[..., Stack]


@pytest.fixture
def said() -> list[str]:
    """What the stack has said, a line each."""
    return []


@pytest.fixture
def make(tmp_path: Path, said: list[str]) -> Iterator[Make]:
    """Makes stacks of stand-ins: name=what it does, each its own stage; stops what a test left running."""
    stacks = []

    def make(stop_seconds: float = 5.0, ready_seconds: float = 10.0, **programs: str) -> Stack:
        for name, body in programs.items():
            (tmp_path / f"{name}.py").write_text(f"NAME = {name!r}{STAND_IN}{body}")
        stages = [
            [Part(name, name, lambda known: {"NEEDS": ",".join(sorted(known))}, ready_seconds)] for name in programs
        ]
        stack = Stack(
            root=tmp_path,
            checkpoint=tmp_path,
            logs=tmp_path / "logs",
            stages=stages,
            stop_seconds=stop_seconds,
            backoff=lambda: Backoff(max_failures=2),
            say=said.append,
        )
        stacks.append(stack)
        return stack

    yield make
    for stack in stacks:
        stack.stop()


def is_running(pid_file: Path) -> bool:
    return is_alive(int(pid_file.read_text()))


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[0]
    except FileNotFoundError:
        return False


def soon_supervised(stack: Stack, condition: Callable[[], bool]) -> bool:
    """Whether the condition comes true while the stack is supervised."""
    return soon(lambda: (stack.keep_running(), condition())[1])


def soon(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_programs_start_in_the_order_in_which_they_are_needed(make: Make, tmp_path: Path) -> None:
    with make(first=SERVES, second=SERVES, third=SERVES):
        assert (tmp_path / "starts").read_text() == "first second third "


def test_programs_stop_in_reverse_order(make: Make, tmp_path: Path) -> None:
    with make(first=SERVES, second=SERVES, third=SERVES):
        pass
    assert (tmp_path / "ends").read_text() == "third second first "


def test_the_address_of_the_stack_is_that_of_the_last_program(make: Make) -> None:
    with make(first=SERVES, gateway=SERVES) as stack:
        assert stack.address == "127.0.0.1:1007"


def test_a_program_learns_the_addresses_of_those_before(make: Make, tmp_path: Path) -> None:
    with make(first=SERVES, second=SERVES):
        pass
    assert "settings address,checkpoint,first\n" in (tmp_path / "logs" / "second.log").read_text()


def test_each_program_has_a_log_with_both_of_its_outputs(make: Make, tmp_path: Path) -> None:
    with make(only=SERVES):
        log = tmp_path / "logs" / "only.log"
        assert soon(lambda: log.read_text() == "settings address,checkpoint\nready only 127.0.0.1:1004\n")


def test_a_program_that_ends_before_it_serves_is_named_with_the_end_of_its_log(make: Make) -> None:
    with pytest.raises(StackError, match=r"(?s)second ended with exit code 7; the end of .*second\.log.*no model here"):
        make(first=SERVES, second=DIES).start()


def test_after_a_failed_start_nothing_is_left_running(make: Make, tmp_path: Path) -> None:
    with pytest.raises(StackError):
        make(first=SERVES, second=DIES).start()
    assert not is_running(tmp_path / "first.pid")


def test_a_program_that_never_serves_is_given_up(make: Make) -> None:
    with pytest.raises(StackError, match=r"only was not ready within 0\.4 s"):
        make(ready_seconds=0.4, only=NEVER_READY).start()


def test_a_missing_library_says_how_to_install_it(make: Make) -> None:
    with pytest.raises(StackError, match=r"pip install -e \.\[serve\]"):
        make(only=LACKS_A_LIBRARY).start()


def test_a_program_that_is_killed_is_restarted_where_it_was(make: Make, tmp_path: Path, said: list[str]) -> None:
    with make(first=SERVES, second=SERVES) as stack:
        killed = int((tmp_path / "first.pid").read_text())
        os.kill(killed, signal.SIGKILL)
        assert soon_supervised(stack, lambda: "restarting" in "".join(said) and "first is ready" in said[-1])
    assert any("first was killed by signal 9; restarting it in 0.2 s (restart 1 of 2)" in line for line in said)
    # It learns its own address, and nobody else was restarted.
    assert "settings address,checkpoint,first,second\n" in (tmp_path / "logs" / "first.log").read_text()
    assert (tmp_path / "starts").read_text() == "first second first "


def test_a_program_that_dies_while_others_start_is_restarted(make: Make, tmp_path: Path) -> None:
    with make(first=DIES_ONCE, second=SERVES_LATE) as stack:
        assert soon_supervised(stack, lambda: (tmp_path / "starts").read_text() == "first second first ")


def test_the_log_of_a_restarted_program_still_says_why_it_died(make: Make, tmp_path: Path) -> None:
    with make(only=DIES_ONCE) as stack:
        assert soon_supervised(stack, lambda: (tmp_path / "starts").read_text() == "only only ")
        assert "out of memory" in (tmp_path / "logs" / "only.log").read_text()


def test_a_program_that_ends_again_and_again_is_given_up_with_the_reason(make: Make, tmp_path: Path) -> None:
    with (
        make(first=SERVES, second=DIES_LATER) as stack,
        pytest.raises(StackError, match=r"second ended with exit code 9, after 2 restarts in a row; the end of .*log"),
    ):
        stack.wait()
    assert (tmp_path / "starts").read_text() == "first second second second "


def test_what_a_dead_program_has_started_ends_with_it(make: Make, tmp_path: Path) -> None:
    with make(only=HAS_CHILD) as stack:
        child = int((tmp_path / "child.pid").read_text())
        os.kill(int((tmp_path / "only.pid").read_text()), signal.SIGKILL)
        assert soon_supervised(stack, lambda: not is_alive(child))


def test_a_program_that_does_not_stop_is_killed(make: Make, tmp_path: Path) -> None:
    with make(stop_seconds=0.3, only=STUBBORN):
        pass
    assert not is_running(tmp_path / "only.pid")


def test_children_of_a_program_end_with_it(make: Make, tmp_path: Path) -> None:
    with make(only=HAS_CHILD):
        pass
    assert soon(lambda: not is_running(tmp_path / "child.pid"))


def test_programs_end_when_the_stack_is_killed_outright(tmp_path: Path) -> None:
    (tmp_path / "only.py").write_text(f"NAME = 'only'{STAND_IN}{SERVES}")
    code = (
        "import pathlib, time\n"
        "from assay.stack import Part, Stack\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "with Stack(root=here, checkpoint=here, logs=here, stages=[[Part('only', 'only', lambda known: {})]]):\n"
        "    print('up', flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.communicate()
    assert soon(lambda: not is_running(tmp_path / "only.pid"))


async def test_the_stack_is_an_async_context_too(make: Make) -> None:
    async with running(make(only=SERVES)) as stack:
        assert stack.addresses == {"only": "127.0.0.1:1004"}


async def test_a_cancelled_start_leaves_nothing_running(make: Make, tmp_path: Path) -> None:
    starting = asyncio.create_task(running(make(first=SERVES, second=NEVER_READY)).__aenter__())
    assert await asyncio.to_thread(soon, (tmp_path / "second.pid").exists)
    starting.cancel()
    await asyncio.wait([starting])
    assert not is_running(tmp_path / "first.pid")


def test_without_a_checkpoint_nothing_starts(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no checkpoint directory"):
        Stack(root=tmp_path, checkpoint=tmp_path / "nowhere")


def test_outside_a_checkout_the_stack_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.stack.__file__", str(tmp_path / "site-packages" / "assay" / "stack" / "__init__.py"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoCheckout, match="only the client is"):
        checkout()


def test_the_services_learn_where_triton_is() -> None:
    known = {"checkpoint": "/model", "triton_server": "127.0.0.1:8001"}
    reported = {part.name: part.wiring(known) for part in STAGES[1]}
    assert reported["scoring"] == {
        "SCORING_ADDRESS": "127.0.0.1:0",
        "SCORING_TRITON": "127.0.0.1:8001",
        "SCORING_CHECKPOINT": "/model",
    }


def assay_up(tmp_path: Path, *before: str) -> subprocess.Popen[str]:
    """`assay up` with stand-ins, started by a command that goes before it."""
    for name in ("triton_server", "gateway", "services/attribute_extraction", "services/scoring", "services/fetch"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "__init__.py").touch()
        body = f"NAME = {Path(name).name!r}{STAND_IN}{SERVES}"
        (tmp_path / name / "__main__.py").write_text(body)
    (tmp_path / "services" / "__init__.py").touch()
    (tmp_path / "up.py").write_text(
        "import assay.stack, sys\n"
        "from pathlib import Path\n"
        "assay.stack.checkout = lambda: Path.cwd()\n"
        "from assay.cli import main\n"
        "sys.exit(main(['up', '--checkpoint', '.']))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [*before, sys.executable, "up.py"]
    return subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def served(up: subprocess.Popen[str]) -> list[str]:
    """The programs, once all of them serve."""
    assert up.stdout is not None
    return [up.stdout.readline().split()[0] for _ in range(5)]


def test_interrupting_assay_up_stops_everything(tmp_path: Path) -> None:
    process = assay_up(tmp_path)
    names = served(process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert (process.returncode, names, (tmp_path / "ends").read_text()) == (
        0,
        ["triton_server", "attribute_extraction", "scoring", "fetch", "gateway"],
        "gateway fetch scoring attribute_extraction triton_server ",
    )


# As a shell without job control starts what stands before `&`, and as nohup does besides.
IGNORING_SIGINT = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")
IGNORING_SIGHUP = ("sh", "-c", 'trap "" HUP; exec "$@"', "sh")


@pytest.mark.parametrize(
    ("before", "number"),
    [(IGNORING_SIGINT, signal.SIGINT), (("setsid", "--wait"), signal.SIGTERM)],
    ids=["in the background", "setsid"],
)
def test_a_signal_stops_assay_up_however_it_was_started(tmp_path: Path, before: Sequence[str], number: int) -> None:
    process = assay_up(tmp_path, *before)
    served(process)
    pid = int((tmp_path / "gateway.pid").read_text())
    parent = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[1])
    os.kill(parent, number)
    _, reported = process.communicate(timeout=20)
    assert (process.returncode, reported.splitlines()[-1], is_running(tmp_path / "gateway.pid")) == (
        0,
        "all stopped",
        False,
    )


def test_a_closed_terminal_ends_assay_up_unless_nohup_says_otherwise(tmp_path: Path) -> None:
    process = assay_up(tmp_path, *IGNORING_SIGHUP)
    served(process)
    process.send_signal(signal.SIGHUP)
    os.kill(int((tmp_path / "fetch.pid").read_text()), signal.SIGKILL)
    assert process.stderr is not None
    # It has outlived the signal, and still does its work.
    assert any("fetch was killed by signal 9; restarting it" in line for line in process.stderr)
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_assay_up_goes_on_when_nobody_reads_what_it_says(tmp_path: Path) -> None:
    process = assay_up(tmp_path)
    served(process)
    assert process.stderr is not None
    process.stderr.close()
    os.kill(int((tmp_path / "fetch.pid").read_text()), signal.SIGKILL)
    assert soon(lambda: (tmp_path / "starts").read_text().count("fetch") == 2)
    process.terminate()
    assert process.wait(20) == 0


def test_a_second_signal_ends_what_does_not_stop(tmp_path: Path) -> None:
    process = assay_up(tmp_path)
    served(process)
    os.kill(int((tmp_path / "scoring.pid").read_text()), signal.SIGSTOP)
    process.send_signal(signal.SIGINT)
    assert soon(lambda: "fetch" in (tmp_path / "ends").read_text() if (tmp_path / "ends").exists() else False)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=5)
    assert (process.returncode, is_running(tmp_path / "scoring.pid")) == (0, False)


def test_sigterm_while_it_starts_leaves_nothing_running(tmp_path: Path) -> None:
    process = assay_up(tmp_path)
    assert soon((tmp_path / "triton_server.pid").exists)
    process.terminate()
    process.communicate(timeout=20)
    assert (process.returncode, is_running(tmp_path / "triton_server.pid")) == (0, False)
