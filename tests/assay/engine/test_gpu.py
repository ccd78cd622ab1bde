"""What holds on every device: on a CPU it is run with all the others, on CUDA by `python -m pytest -m gpu`."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch

from assay.engine import Engine
from assay.engine.cache import Cache
from assay.engine.checkpoint import Checkpoint, load_checkpoint
from assay.engine.graph_runner import BATCH_TOLERANCE, GraphRunner
from assay.engine.graphs import USES_BEFORE
from assay.engine.lanes import Lane, Mark, to_device, to_host, used_here
from assay.engine.lean_runner import LeanRunner
from assay.engine.prompt_tokens import PromptTokens, prompt_tokens
from assay.engine.runner import Feed
from assay.engine.runners import make_runner
from assay.engine.transformers_runner import TransformersRunner
from assay.frame import Clip
from tests.assay.engine.oracle import texts
from tests.assay.engine.test_graph_runner import REASONED, together
from tests.assay.engine.test_sequence import RATE
from tests.tiny_checkpoint import write_tiny_checkpoint

MakeClip = Callable[..., Clip]
HALVES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
TREE = Feed(0, (5, 6, 7, 8, 9), parents=(-1, 0, 1, 0, 3), looks=(0, 2, 4))
PIECES = ((3,) * 3, (4,) * 20, (5,), (6,) * 60, (7,) * 9)


@pytest.fixture(scope="module", params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=list(HALVES))
def loaded(request: pytest.FixtureRequest, device: str, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A tiny checkpoint in the precision that its config.json asks for."""
    directory = write_tiny_checkpoint(tmp_path_factory.mktemp("tiny"))
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"dtype": request.param}))
    checkpoint = load_checkpoint(directory, device)
    if device == "cpu":
        # There it is loaded as float32, whatever it says.
        checkpoint.model.to(HALVES[request.param])  # type: ignore[arg-type]  # torch's own signature is lost
    assert checkpoint.model.dtype == HALVES[request.param]
    return checkpoint


@pytest.fixture
def runner(loaded: Checkpoint) -> GraphRunner:
    runner = GraphRunner(loaded.model, seats=8)
    runner.settle()
    return runner


def _prompts(checkpoint: Checkpoint, make_clip: MakeClip, count: int) -> list[PromptTokens]:
    clips = (make_clip(1 + seed % 3, is_video=seed % 3 > 0, seed=seed) for seed in range(count))
    return [prompt_tokens(clip, RATE, checkpoint.layout, checkpoint.text) for clip in clips]


def _apart(mine: Sequence[torch.Tensor], theirs: Sequence[torch.Tensor]) -> float:
    """The largest difference, of their length."""
    return max(float((a - b).norm() / b.norm()) for a, b in zip(mine, theirs, strict=True))


def _behind(prompt: PromptTokens, tokens: tuple[int, ...] = ()) -> Feed:
    start = len(prompt.ids)
    return Feed(start, tokens) if tokens else Feed(start, TREE.token_ids, TREE.parents, TREE.looks)


def test_batch_mates_change_no_more_than_the_stated_tolerance(
    loaded: Checkpoint, runner: GraphRunner, make_clip: MakeClip
) -> None:
    prompts = _prompts(loaded, make_clip, len(PIECES))
    feeds = [[Feed(0, prompt.ids), _behind(prompt, tokens)] for prompt, tokens in zip(prompts, PIECES, strict=True)]
    alone = GraphRunner(loaded.model, 0, seats=1)
    caches = [Cache(prompt) for prompt in prompts]
    expected = [[alone.run([(cache, feed)])[0] for feed in both] for cache, both in zip(caches, feeds, strict=True)]
    for _ in range(USES_BEFORE + 2):
        caches = [Cache(prompt) for prompt in prompts]
        for step in range(2):
            beside = runner.run([(cache, both[step]) for cache, both in zip(caches, feeds, strict=True)])
            assert _apart(beside, [each[step] for each in expected]) < BATCH_TOLERANCE[loaded.model.dtype]


def test_logits_are_those_of_transformers_within_the_tolerance(
    loaded: Checkpoint, runner: GraphRunner, make_clip: MakeClip
) -> None:
    reference = TransformersRunner(loaded.model)
    for prompt in _prompts(loaded, make_clip, 3):
        mine, theirs = Cache(prompt), Cache(prompt)
        for feed in (Feed(0, prompt.ids), _behind(prompt)):
            (got,), (expected,) = runner.run([(mine, feed)]), reference.run([(theirs, feed)])
            assert _apart([got], [expected]) < 2 * BATCH_TOLERANCE[loaded.model.dtype]


def test_every_feed_after_the_first_few_is_a_replay(
    loaded: Checkpoint, runner: GraphRunner, make_clip: MakeClip
) -> None:
    (prompt,) = _prompts(loaded, make_clip, 1)
    cache, before = Cache(prompt), runner.replays
    runner.run([(cache, Feed(0, prompt.ids))])
    for _ in range(USES_BEFORE + 10):
        runner.run([(cache, _behind(prompt))])
    assert runner.replays >= before + 10


@pytest.fixture(scope="module")
def whole(device: str, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """In float32, so that answers can be compared word for word."""
    return load_checkpoint(write_tiny_checkpoint(tmp_path_factory.mktemp("whole")), device)


def test_answers_are_those_of_the_lean_runner_on_a_cpu(
    whole: Checkpoint, checkpoint: Checkpoint, make_clip: MakeClip
) -> None:
    clips = [make_clip(1 + seed % 4, is_video=seed % 4 > 0, seed=seed) for seed in range(12)]
    wishes = [(clip, RATE, REASONED) for clip in clips]
    expected, _ = together(checkpoint, LeanRunner(checkpoint.model), wishes, at_once=1)
    heard, _ = together(whole, GraphRunner(whole.model), wishes, at_once=8)
    assert [texts(events) for events in heard] == [texts(events) for events in expected]


def test_what_one_lane_makes_another_finds(device: str) -> None:
    where = torch.device(device)
    lane, numbers = Lane(where), torch.arange(1 << 20, dtype=torch.float32)
    for _ in range(20):
        with lane.work(after=Mark(where)):
            made = to_device(numbers, where).sqrt().square()
            done = Mark(where)
        done.go_on_after()
        copy, there = to_host(used_here(made) + 1)
        there.wait()
        torch.testing.assert_close(copy, numbers + 1)


@pytest.fixture
def engine(device: str, tmp_path: Path) -> Iterator[Engine]:
    engine = Engine.load(write_tiny_checkpoint(tmp_path / "tiny"), device=device, threads=1)
    yield engine
    engine.close()


async def test_the_engine_answers_on_its_own_thread(
    engine: Engine, image: Clip, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [[event async for event in engine.generate(image, RATE, REASONED)] for _ in range(4)]
    assert all(texts(answer) == texts(answers[0]) for answer in answers)
    assert "no CUDA graphs" not in caplog.text


@pytest.mark.gpu
def test_lean_is_the_runner_with_graphs_where_there_is_cuda(
    tiny_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        runner = make_runner(load_checkpoint(tiny_directory, "cuda"), "lean", kept_bytes=1 << 20)
        runner.settle()
    assert isinstance(runner, GraphRunner)
    assert "our own forward (GraphRunner) runs this checkpoint on cuda:0" in caplog.text
    assert "graph 1 of at most" in caplog.text
    assert "no CUDA graphs" not in caplog.text


@pytest.mark.gpu
def test_memory_on_the_device_stays_where_it_is(tiny_directory: Path, make_clip: MakeClip) -> None:
    checkpoint = load_checkpoint(tiny_directory, "cuda")
    runner = GraphRunner(checkpoint.model, 4 << 20)

    def ask(seeds: range) -> int:
        together(checkpoint, runner, [(make_clip(seed=seed), RATE, REASONED) for seed in seeds], at_once=8)
        torch.cuda.synchronize()
        return torch.cuda.memory_allocated()

    ask(range(100))
    before = ask(range(100, 200))
    assert ask(range(200, 500)) - before < 4 << 20
