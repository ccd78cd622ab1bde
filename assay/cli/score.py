"""`assay score`: files -> scores on stdout, and on stderr what led to them."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from assay.cli import lines
from assay.cli.inputs import Input, inputs_of
from assay.cli.narrator import Narrator
from assay.cli.screen import QuietScreen, Screen, stderr_screen
from assay.cli.tally import Tally
from assay.cli.video import video_of
from assay.client import DEFAULT_SERVER, AsyncClient, Judgement, NoServer, VideoOptions, judgement_from_wire
from assay.errors import AssayError
from assay.v1 import event_pb2, score_pb2


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asks for."""

    form: str = "regular"
    attributes: tuple[str, ...] = ()
    as_json: bool = False
    is_quiet: bool = False
    concurrency: int = 1
    timeout_seconds: float = 1800.0
    tenant: str = ""
    video: VideoOptions = field(default_factory=VideoOptions)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a file has no score."""

    reason: str
    message: str
    exit_code: int


Outcome = Judgement | Failure


def run_score(options: argparse.Namespace) -> int:
    """The command; its exit code."""
    wish = Wish(
        form=options.form,
        attributes=options.attributes,
        as_json=options.json,
        is_quiet=options.quiet,
        concurrency=options.concurrency,
        timeout_seconds=options.timeout,
        tenant=options.tenant,
        video=video_of(options),
    )
    return asyncio.run(score_files(options.server or _server_from_environment(), options.paths, wish))


def _server_from_environment() -> str:
    # Loading pydantic takes a moment that a call with --server need not wait.
    from assay.cli.settings import server_from_environment

    return server_from_environment(DEFAULT_SERVER)


async def score_files(server: str, paths: Sequence[str], wish: Wish) -> int:
    """Scores every file; 0, or the gravest exit code of the failures."""
    inputs = inputs_of(paths)
    async with AsyncClient(server, timeout_seconds=wish.timeout_seconds) as client:
        outcomes = await (_one_by_one if wish.concurrency == 1 else _together)(client, inputs, wish)
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    if failures and len(inputs) > 1:
        print(f"assay: {len(failures)} of {len(inputs)} files could not be scored", file=sys.stderr)
    return max((failure.exit_code for failure in failures), default=0)


async def _one_by_one(client: AsyncClient, inputs: Sequence[Input], wish: Wish) -> list[Outcome]:
    outcomes = []
    for each in inputs:
        with stderr_screen(quiet=wish.is_quiet) as screen:
            if len(inputs) > 1:
                screen.write(f"{lines.one_line(each.name)}\n")
            outcome = await _outcome(client, each, wish, screen)
        outcomes.append(outcome)
        _show(each, outcome, wish)
    return outcomes


async def _together(client: AsyncClient, inputs: Sequence[Input], wish: Wish) -> list[Outcome]:
    """Several files at once; shown in the order in which they were given, so nobody's reasoning is streamed."""
    places = asyncio.Semaphore(wish.concurrency)

    async def one(each: Input) -> Outcome:
        async with places:
            return await _outcome(client, each, wish, QuietScreen())

    tasks = [asyncio.create_task(one(each)) for each in inputs]
    outcomes = []
    for place, (each, task) in enumerate(zip(inputs, tasks, strict=True)):
        with stderr_screen(quiet=wish.is_quiet) as screen:
            screen.progress("scoring", place, len(inputs))
            outcome = await task
        if isinstance(outcome, Judgement) and not wish.is_quiet:
            _show_reasoning(each, outcome)
        outcomes.append(outcome)
        _show(each, outcome, wish)
    return outcomes


async def _outcome(client: AsyncClient, each: Input, wish: Wish, screen: Screen) -> Outcome:
    if each.problem:
        return Failure("UNREADABLE_FILE", each.problem, 1)
    try:
        return await _judged(client, each, wish, screen)
    except NoServer as error:
        return Failure(error.reason, error.message, 3)
    except AssayError as error:
        return Failure(error.reason, error.message, 1)
    except OSError as error:
        return Failure("UNREADABLE_FILE", f"cannot be read: {error.strerror or error}", 1)


async def _judged(client: AsyncClient, each: Input, wish: Wish, screen: Screen) -> Judgement:
    narrator, tally = Narrator(), Tally(len(wish.attributes))
    result = event_pb2.Result()
    screen.progress(*tally.shown())
    windows: list[score_pb2.WindowResult] = []
    told = client.events(
        each.source(),
        form=wish.form,
        attributes=wish.attributes,
        tenant=wish.tenant,
        video=wish.video,
        distributions=False,
    )
    async for event in told:
        screen.write(narrator.feed(event))
        tally.feed(event)
        screen.progress(*tally.shown())
        if event.HasField("window"):
            windows.append(event.window)
        if event.HasField("result"):
            result = event.result
    return judgement_from_wire(result, windows)


def _show(each: Input, outcome: Outcome, wish: Wish) -> None:
    """The attributes and timeline on stderr, the score (or JSON) on stdout, a failure on stderr."""
    if isinstance(outcome, Failure):
        print(f"assay: {lines.one_line(each.name)}: {lines.one_line(outcome.message)}", file=sys.stderr)
        if wish.as_json:
            print(lines.error_json(each.name, outcome.reason, outcome.message), flush=True)
        return
    if not wish.is_quiet:
        _show_details(outcome)
    line = lines.judgement_json(each.name, outcome) if wish.as_json else lines.score_line(each.name, outcome.score)
    print(line, flush=True)


def _show_reasoning(each: Input, judgement: Judgement) -> None:
    print(lines.one_line(each.name), file=sys.stderr)
    for window in judgement.windows:
        if window.reasoning:
            print(lines.printable(window.reasoning).rstrip("\n"), file=sys.stderr)


def _show_details(judgement: Judgement) -> None:
    timeline = lines.video_lines(judgement) if judgement.media.kind == "video" else []
    composite = [lines.composite_line(judgement.composite_score)] if judgement.composite_score else []
    warnings = [f"  note: {lines.one_line(warning)}" for warning in judgement.media.warnings]
    for line in (*lines.attribute_lines(judgement.attributes), *composite, *timeline, *warnings):
        print(line, file=sys.stderr)
    sys.stderr.flush()
