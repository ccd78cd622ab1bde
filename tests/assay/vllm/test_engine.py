"""vLLM walks a form as our own engine does. Run by `make check-vllm`, in vLLM's own environment."""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("vllm")
pytestmark = pytest.mark.vllm

from assay.checkpoint import FormName, read_checkpoint  # noqa: E402
from assay.engine.model.loading import LoadedModel, load_model  # noqa: E402
from assay.errors import AssayError, Busy, InvalidRequest, ModelUnavailable, OutOfTime  # noqa: E402
from assay.form import Choice, Digits, Form, Free, Literal  # noqa: E402
from assay.frame import Clip  # noqa: E402
from assay.generator import Chose, Conversation, Event, Finished, NumberWritten  # noqa: E402
from assay.prompt import answer_form, question  # noqa: E402
from assay.qwen2_vl.tokenizer import TextTokenizer  # noqa: E402
from assay.vllm.core import shared_memory  # noqa: E402
from assay.vllm.engine import VllmEngine  # noqa: E402
from assay.vllm.messages import VllmOptions  # noqa: E402
from tests.assay.engine.oracle import Oracle, engine_events, texts  # noqa: E402
from tests.checkpoints import NANO  # noqa: E402
from tests.rehearsal.weights import miniature_shape, write_base  # noqa: E402

MakeClip = Callable[..., Clip]
RATE = Conversation("Rate this image.")
FORM = Form((Literal("Clutter:"), Choice("clutter", (" a", " b")), Literal("."), Digits("score", 1, 2, lead=" ")))
LONG = Form((Free("text", 1500, ()),))
FORKED = Form(
    (
        *(Literal("Why:"), Free("reason", 5, ("\n",)), Choice("word", (" clutter", " cluttered", " 1", " 10"))),
        *(Free("more", 3, ()), Choice("grade", (" high", " higher", " low")), Digits("score", 1, 1, " ", 0.05)),
    )
)

BRANCHED = Form((Choice("word", ("clutter", "cluttered", "1", "10")), Digits("score", 1, 2, " ", 0.01)))


@pytest.fixture(scope="module")
def loaded(quick_nano: Path) -> LoadedModel:
    return load_model(quick_nano)


@pytest.fixture(scope="module")
def engine(quick_nano: Path) -> Iterator[VllmEngine]:
    engine = VllmEngine.load(quick_nano, VllmOptions(max_in_flight=4, max_waiting=2, max_model_tokens=2048))
    yield engine
    engine.close()


async def _events(engine: VllmEngine, clip: Clip, asks: Conversation, form: Form) -> list[Event]:
    return [event async for event in engine.generate(clip, asks, form)]


def _probabilities(events: Sequence[Event]) -> list[Any]:
    """Of every decision."""
    chosen = [dict(event.probabilities) for event in events if isinstance(event, Chose)]
    return [*chosen, *(dict(event.by_prefix) for event in events if isinstance(event, NumberWritten))]


def _about(events: Sequence[Event], tolerance: float) -> list[Any]:
    """The same, to be compared with others within the tolerance."""
    decisions = _probabilities(events)
    return [{key: pytest.approx(value, abs=tolerance) for key, value in each.items()} for each in decisions]


@pytest.mark.parametrize("form_name", ["direct", "regular"])
@pytest.mark.parametrize("frames", [1, 5])
async def test_the_shipped_forms_are_answered_as_by_our_own_engine(
    engine: VllmEngine, loaded: LoadedModel, quick_nano: Path, make_clip: MakeClip, frames: int, form_name: FormName
) -> None:
    spec, clip = read_checkpoint(quick_nano), make_clip(frames, is_video=frames > 1, height=168, width=196)
    asks, form = Conversation(question(spec, form_name, clip.is_video)), answer_form(spec, form_name)
    mine, theirs = engine_events(loaded, clip, asks, form)[0], await _events(engine, clip, asks, form)
    assert texts(theirs) == texts(mine)
    assert _probabilities(theirs) == _about(mine, 1e-4)
    assert theirs[-1] == mine[-1]


@pytest.mark.parametrize("is_video", [False, True])
async def test_a_form_of_every_kind_is_answered_as_by_full_forwards_of_transformers(
    engine: VllmEngine, loaded: LoadedModel, image: Clip, video: Clip, is_video: bool
) -> None:
    clip = video if is_video else image
    oracle, events = Oracle.write(loaded, clip, RATE, FORKED), await _events(engine, clip, RATE, FORKED)
    assert texts(events) == texts(oracle.events)
    assert _probabilities(events) == _about(oracle.events, 1e-4)


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 7B's shape in small (grouped heads, embeddings of their own), random weights, computed in float32."""
    special = TextTokenizer.read(NANO / "tokenizer.json").special
    ids = {f"<|{name}|>": getattr(special, name) for name in ("vision_start", "vision_end", "image_pad", "video_pad")}
    ends = {"<|im_end|>": special.im_end, "<|endoftext|>": special.im_end}
    shape = miniature_shape(NANO / "tokenizer.json", ids | ends)
    shape.config["torch_dtype"] = "float32"
    directory = tmp_path_factory.mktemp("7b") / "base"
    write_base(shape, directory, lambda line: None)
    return directory


@pytest.mark.parametrize("processes", [1, 2])
async def test_the_7b_in_miniature_is_answered_as_by_transformers_also_when_it_is_spread(
    miniature: Path, image: Clip, video: Clip, processes: int
) -> None:
    loaded, options = load_model(miniature), VllmOptions(max_model_tokens=2048, tensor_parallel=processes)
    engine = VllmEngine.load(miniature, options)
    try:
        for clip in (image, video):
            oracle, events = Oracle.write(loaded, clip, RATE, FORKED), await _events(engine, clip, RATE, FORKED)
            assert texts(events) == texts(oracle.events)
            assert _probabilities(events) == _about(oracle.events, 1e-4)
    finally:
        engine.close()


def _tensors_exchanged() -> set[str]:
    return {file.name for file in Path("/dev/shm").glob("*-cpushm*")}


def test_no_shared_memory_is_left_of_an_engine_that_is_spread(miniature: Path) -> None:
    before = _tensors_exchanged()
    engine = VllmEngine.load(miniature, VllmOptions(max_model_tokens=2048, tensor_parallel=2))
    during = _tensors_exchanged() - before
    engine.close()
    assert (bool(during), _tensors_exchanged() & during) == (True, set())


async def test_batch_mates_change_no_probability(engine: VllmEngine, make_clip: MakeClip) -> None:
    clips = [make_clip(1 + seed % 2, is_video=seed % 2 > 0, seed=seed) for seed in range(4)]
    alone = [await _events(engine, clip, RATE, FORM) for clip in clips]
    # Others' caches: nothing is found again.
    asks = replace(RATE, tenant="another")
    together = await asyncio.gather(*(_events(engine, clip, asks, FORM) for clip in clips))
    assert [texts(events) for events in together] == [texts(events) for events in alone]
    assert [_probabilities(events) for events in together] == [_about(each, 1e-5) for each in alone]


async def test_what_was_read_is_found_again_by_the_same_tenant_alone(engine: VllmEngine, make_clip: MakeClip) -> None:
    clip, found = make_clip(seed=77, height=168, width=168), []
    for tenant in ("acme", "others", "acme"):
        before = engine.counters["prefix_tokens_found"]
        await _events(engine, clip, replace(RATE, tenant=tenant), FORM)
        found.append(engine.counters["prefix_tokens_found"] - before)
    assert found[0] == found[1] < found[2]


class Listener:
    """Keeps what it hears, and can be waited for."""

    def __init__(self) -> None:
        self.heard: list[Event | AssayError | None] = []
        self.started, self.ended = threading.Event(), threading.Event()

    def __call__(self, events: Sequence[Event | AssayError | None]) -> None:
        self.heard.extend(events)
        self.started.set()
        if events[-1] is None or isinstance(events[-1], AssayError | Finished):
            self.ended.set()

    def wait(self) -> list[Event | AssayError | None]:
        assert self.ended.wait(120), f"no end after {self.heard[-3:]}"
        return self.heard

    def texts(self) -> list[tuple[str, str]]:
        assert isinstance(self.wait()[-1], Finished)
        return texts([event for event in self.heard if event is not None and not isinstance(event, AssayError)])


def _submit(engine: VllmEngine, request_id: str, clip: Clip, form: Form = FORM) -> Listener:
    listener = Listener()
    engine.submit(request_id, clip, RATE, form, listener)
    return listener


def test_a_cancelled_request_hears_none_and_makes_room(engine: VllmEngine, image: Clip) -> None:
    long = [_submit(engine, f"long {n}", image, LONG) for n in range(6)]
    with pytest.raises(Busy, match="6 requests are in flight or waiting"):
        _submit(engine, "one more", image)
    with pytest.raises(InvalidRequest, match="'long 3' is in use"):
        _submit(engine, "long 3", image)
    for n in reversed(range(6)):
        engine.cancel(f"long {n}")
    assert [listener.wait()[-1] for listener in long] == [None] * 6
    assert isinstance(_submit(engine, "again", image).wait()[-1], Finished)


def test_a_wrong_request_fails_alone(engine: VllmEngine, image: Clip, make_clip: MakeClip) -> None:
    good, bad = _submit(engine, "good", image), _submit(engine, "bad", make_clip(height=50))
    assert isinstance(bad.wait()[-1], InvalidRequest)
    assert isinstance(good.wait()[-1], Finished)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _started_with(mark: str) -> list[int]:
    """Processes that have this in their environment."""
    found = []
    for each in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark in each.read_text():
                found.append(int(each.parent.name))
    return found


def _wait_until_gone(pids: Sequence[int]) -> None:
    for _ in range(300):
        if not any(map(_is_running, pids)):
            return
        time.sleep(0.1)
    pytest.fail(f"processes are left: {pids}")


async def test_an_answer_that_begins_with_a_choice_is_asked_about_in_branches_at_once(
    engine: VllmEngine, loaded: LoadedModel, make_clip: MakeClip
) -> None:
    clips = [make_clip(1 + seed % 2, is_video=seed % 2 > 0, seed=100 + seed) for seed in range(4)]
    together = await asyncio.gather(*(_events(engine, clip, RATE, BRANCHED) for clip in clips))
    for clip, events in zip(clips, together, strict=True):
        oracle = Oracle.write(loaded, clip, RATE, BRANCHED)
        assert texts(events) == texts(oracle.events)
        assert _probabilities(events) == _about(oracle.events, 1e-4)


async def test_more_options_than_vllm_answers_about_at_once_are_asked_in_parts(
    engine: VllmEngine, loaded: LoadedModel, image: Clip
) -> None:
    words = [loaded.text.bytes_of(token).decode("ascii", "ignore") for token in range(300, 600)]
    options = tuple({f" {word.strip()}" for word in words if word.strip().isalpha()})
    tokens = {loaded.text.encode(option)[0] for option in options}
    assert len(tokens) > 128
    form = Form((Literal("It is"), Choice("word", options)))
    oracle, events = Oracle.write(loaded, image, RATE, form), await _events(engine, image, RATE, form)
    assert texts(events) == texts(oracle.events)
    assert _probabilities(events) == _about(oracle.events, 1e-4)


async def test_a_text_that_stops_where_no_single_token_does_goes_on_in_a_session_of_its_own(
    engine: VllmEngine, loaded: LoadedModel, image: Clip
) -> None:
    written = "".join(text for _, text in texts(await _events(engine, image, RATE, Form((Free("all", 40, ()),)))))
    # Five characters of what it writes are in more than one token.
    form = Form((Free("text", 40, (written[7:12],)), Literal(" So:"), Choice("word", (" a", " b")), Digits("n", 1, 1)))
    oracle, events = Oracle.write(loaded, image, RATE, form), await _events(engine, image, RATE, form)
    assert texts(events) == texts(oracle.events)
    assert _probabilities(events) == _about(oracle.events, 1e-4)


def test_a_request_that_is_late_ends_in_out_of_time(engine: VllmEngine, image: Clip) -> None:
    listener = Listener()
    engine.submit("late", image, RATE, LONG, listener, deadline_seconds=time.monotonic())
    assert isinstance(listener.wait()[-1], OutOfTime)


def test_answers_that_do_not_fit_into_the_cache_together_are_all_written(quick_nano: Path, image: Clip) -> None:
    # Room for one answer of this length and a bit; eight want it.
    engine = VllmEngine.load(quick_nano, VllmOptions(max_in_flight=8, max_model_tokens=448, cpu_cache_mib=2))
    form = Form((Literal("Clutter:"), *(Digits(f"n{place}", 1, 2, " ", 0.01) for place in range(60))))
    try:
        alone = _submit(engine, "alone", image, form).texts()
        together = [_submit(engine, f"{n}", image, form) for n in range(8)]
        assert [listener.texts() for listener in together] == [alone] * 8
    finally:
        engine.close()


def test_a_core_that_dies_fails_what_is_in_flight_and_says_so(quick_nano: Path, image: Clip) -> None:
    died = threading.Event()
    engine = VllmEngine.load(quick_nano, VllmOptions(max_model_tokens=2048), on_death=died.set)
    listener = _submit(engine, "long", image, LONG)
    assert listener.started.wait(120)
    os.kill(engine._leash.pids[0], signal.SIGKILL)
    assert isinstance(listener.wait()[-1], ModelUnavailable)
    assert died.wait(60)
    engine.close()


def test_a_semaphore_is_found_as_shared_memory_of_the_process_that_made_it() -> None:
    before = shared_memory([os.getpid()])
    semaphore = multiprocessing.get_context("spawn").Semaphore()
    (made,) = shared_memory([os.getpid()]) - before
    del semaphore
    assert made.startswith("/dev/shm/sem.mp-")


@pytest.mark.parametrize("starts", [True, False])
def test_neither_process_nor_file_is_left_of_an_engine_that_is_killed(quick_nano: Path, starts: bool) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\n"
        "from assay.vllm.engine import VllmEngine\nfrom assay.vllm.messages import VllmOptions\n"
        "if __name__ == '__main__':\n"
        "    options = VllmOptions(max_model_tokens=2048, tensor_parallel=2)\n"
        "    engine = VllmEngine.load(Path(sys.argv[1]), options)\n"
        "    print('pids', *engine._leash.pids, flush=True)\n    time.sleep(600)\n"
    )
    script = quick_nano.parent / "program.py"
    script.write_text(program)
    # Paths of sockets have 107 characters at most.
    temporary = Path(tempfile.mkdtemp(prefix="t"))
    here = {**os.environ, "TMPDIR": str(temporary)}
    process = subprocess.Popen([sys.executable, script, quick_nano], stdout=subprocess.PIPE, text=True, env=here)
    assert process.stdout
    files = set[str]()
    if starts:
        while not (pids := _started_with(f"TMPDIR={temporary}/assay-")):
            time.sleep(0.1)
    else:
        line = next(line for line in process.stdout if line.startswith("pids "))
        pids = [int(pid) for pid in line.split()[1:]]
        files = shared_memory(pids)
        assert files
    assert all(map(_is_running, pids))
    process.kill()
    process.wait()
    _wait_until_gone(pids)
    for _ in range(100):
        if not any(temporary.iterdir()):
            break
        time.sleep(0.1)
    assert [file for file in [*files, *temporary.iterdir()] if Path(file).exists()] == []
    temporary.rmdir()
