"""`assay score`: files -> scores on stdout, and on stderr what led to them."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from assay.cli import render
from assay.cli.inputs import Input, inputs_of
from assay.cli.progress import ProgressCounter, Screen, stderr_screen
from assay.client import AsyncClient, Credentials, Judgement, NoServer, VideoOptions, judgement_from_wire
from assay.errors import AssayError
from assay.v1 import event_pb2, score_pb2

_NO_CREDENTIALS = Credentials()


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """What the command line asks for."""

    form: str = "regular"
    attributes: tuple[str, ...] = ()
    as_json: bool = False
    is_quiet: bool = False
    concurrency: int = 1
    timeout_seconds: float = 1800.0
    tenant: str = ""
    video: VideoOptions = field(default_factory=VideoOptions)
    priority: str = "interactive"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a file has no score."""

    reason: str
    message: str
    exit_code: int


Outcome = Judgement | Failure


async def score_files(
    server: str, paths: Sequence[str], options: ScoreOptions, credentials: Credentials = _NO_CREDENTIALS
) -> int:
    """Scores every file; 0, or the gravest exit code of the failures."""
    inputs = inputs_of(paths)
    async with AsyncClient(
        server, timeout_seconds=options.timeout_seconds, credentials=credentials, priority=options.priority
    ) as client:
        outcomes = await (_one_by_one if options.concurrency == 1 else _together)(client, inputs, options)
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    if failures and len(inputs) > 1:
        print(f"assay: {len(failures)} of {len(inputs)} files could not be scored", file=sys.stderr)
    return max((failure.exit_code for failure in failures), default=0)


async def _one_by_one(client: AsyncClient, inputs: Sequence[Input], options: ScoreOptions) -> list[Outcome]:
    outcomes = []
    for each in inputs:
        with stderr_screen(quiet=options.is_quiet) as screen:
            if len(inputs) > 1:
                screen.write(f"{render.one_line(each.name)}\n")
            outcome = await _outcome(client, each, options, screen)
        outcomes.append(outcome)
        _show(each, outcome, options)
    return outcomes


async def _together(client: AsyncClient, inputs: Sequence[Input], options: ScoreOptions) -> list[Outcome]:
    """Several files at once; shown in the order in which they were given, so no reasoning is streamed."""
    places = asyncio.Semaphore(options.concurrency)

    async def one(each: Input) -> Outcome:
        async with places:
            return await _outcome(client, each, options, Screen())

    tasks = [asyncio.create_task(one(each)) for each in inputs]
    outcomes = []
    for place, (each, task) in enumerate(zip(inputs, tasks, strict=True)):
        with stderr_screen(quiet=options.is_quiet) as screen:
            screen.progress("scoring", place, len(inputs))
            outcome = await task
        if isinstance(outcome, Judgement) and not options.is_quiet:
            _show_reasoning(each, outcome)
        outcomes.append(outcome)
        _show(each, outcome, options)
    return outcomes


async def _outcome(client: AsyncClient, each: Input, options: ScoreOptions, screen: Screen) -> Outcome:
    if each.problem:
        return Failure("UNREADABLE_FILE", each.problem, 1)
    try:
        return await _judged(client, each, options, screen)
    except NoServer as error:
        return Failure(error.reason, error.message, 3)
    except AssayError as error:
        return Failure(error.reason, error.message, 1)
    except OSError as error:
        return Failure("UNREADABLE_FILE", f"cannot be read: {error.strerror or error}", 1)


async def _judged(client: AsyncClient, each: Input, options: ScoreOptions, screen: Screen) -> Judgement:
    reasoning, counter = render.ReasoningText(), ProgressCounter(len(options.attributes))
    result = event_pb2.Result()
    screen.progress(*counter.shown())
    windows: list[score_pb2.WindowResult] = []
    events = client.events(
        each.source(),
        form=options.form,
        attributes=options.attributes,
        tenant=options.tenant,
        video=options.video,
        distributions=False,
    )
    async for event in events:
        screen.write(reasoning.feed(event))
        counter.feed(event)
        screen.progress(*counter.shown())
        if event.HasField("window"):
            windows.append(event.window)
        if event.HasField("result"):
            result = event.result
    return judgement_from_wire(result, windows)


def _show(each: Input, outcome: Outcome, options: ScoreOptions) -> None:
    """The attributes and timeline on stderr, the score (or JSON) on stdout, a failure on stderr."""
    if isinstance(outcome, Failure):
        print(f"assay: {render.one_line(each.name)}: {render.one_line(outcome.message)}", file=sys.stderr)
        if options.as_json:
            print(render.error_json(each.name, outcome.reason, outcome.message), flush=True)
        return
    if not options.is_quiet:
        _show_details(outcome)
    line = render.judgement_json(each.name, outcome) if options.as_json else render.score_line(each.name, outcome.score)
    print(line, flush=True)


def _show_reasoning(each: Input, judgement: Judgement) -> None:
    print(render.one_line(each.name), file=sys.stderr)
    for window in judgement.windows:
        if window.reasoning:
            print(render.printable(window.reasoning).rstrip("\n"), file=sys.stderr)


def _show_details(judgement: Judgement) -> None:
    timeline = render.video_lines(judgement) if judgement.media.kind == "video" else []
    composite = [render.composite_line(judgement.composite_score)] if judgement.composite_score else []
    said = *judgement.media.warnings, *judgement.model.warnings
    warnings = [f"  note: {render.one_line(warning)}" for warning in said]
    for line in (*render.attribute_lines(judgement.attributes), *composite, *timeline, *warnings):
        print(line, file=sys.stderr)
    sys.stderr.flush()
