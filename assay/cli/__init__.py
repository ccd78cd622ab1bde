"""The command line: `assay score`, `assay live`, `assay up`, `assay demo`, `assay checkpoint`, `assay settings`."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer
from typer.exceptions import TyperException

from assay import __version__
from assay.cli.options import (
    EXIT_CODES,
    JSON,
    Cert,
    CheckpointDirectory,
    CommonOptions,
    Form,
    Lateness,
    Logs,
    Priority,
    TlsCa,
    TokenFile,
    above_0,
    asked,
    connection,
    silence_grpc,
    video_options,
    with_options,
)
from assay.errors import AssayError
from assay.video import VideoOptions

P = ParamSpec("P")

app = typer.Typer(
    help="Scores how good images and videos look to people, and says why.",
    epilog=EXIT_CODES,
    rich_markup_mode="rich",
    add_completion=False,
    no_args_is_help=True,
)
checkpoint_app = typer.Typer(help="Inspect a checkpoint, or get one.", no_args_is_help=True)
app.add_typer(checkpoint_app, name="checkpoint")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; the exit code (see --help). Wrong use raises SystemExit(2)."""
    try:
        return int(typer.main.get_command(app).main(argv, prog_name="assay", standalone_mode=False) or 0)
    except TyperException as wrong:
        # Every one that is raised by parsing shows itself, which the base class does not promise.
        shown: Any = wrong
        shown.show()
        raise SystemExit(shown.exit_code) from None


def _exit_code(command: Callable[P, int]) -> Callable[P, int]:
    """What a command raises becomes its exit code."""

    @wraps(command)
    def run(*arguments: P.args, **options: P.kwargs) -> int:
        try:
            return command(*arguments, **options)
        except AssayError as error:
            print(f"assay: {error.message}", file=sys.stderr)
            return 2 if error.grpc_status == "FAILED_PRECONDITION" else 1
        except KeyboardInterrupt:
            print("assay: stopped", file=sys.stderr)
            return 130
        except BrokenPipeError:
            # The reader of our output (`| head`) has closed it; Python would complain again when it flushes at exit.
            sys.stdout = None
            return 141

    return run


def _print_version(asked: bool) -> None:
    if asked:
        print(f"assay {__version__}")
        raise typer.Exit


@app.callback()
def assay(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the release.")
    ] = False,
) -> None:
    pass


@app.command(epilog=f"{JSON}\n{EXIT_CODES}")
@_exit_code
@with_options(asked, connection, video_options)
def score(
    asked: CommonOptions,
    connection: Any,
    video: VideoOptions,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH",
            help="A file, a directory (every picture and video in it), - for stdin, or an address that the server gets "
            "itself (https://…, s3://…) if it is set up to.",
        ),
    ],
    form: Form = "regular",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per file.")] = False,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="No reasoning, attributes or progress; errors stay.")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, metavar="N", help="Files in flight at once.")] = 1,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="Longest time per file.")] = 1800.0,
    priority: Priority = "interactive",
) -> int:
    """Score pictures and videos: scores go to stdout, a line each; reasoning and attributes to stderr."""
    seconds = above_0("--timeout", timeout)
    from assay.cli.score import ScoreOptions, score_files

    options = ScoreOptions(form, asked.attributes, as_json, quiet, concurrency, seconds, asked.tenant, video, priority)
    address, credentials = connection
    return asyncio.run(score_files(address, paths, options, credentials))


@app.command(epilog=EXIT_CODES)
@_exit_code
@with_options(asked, connection)
def live(
    asked: CommonOptions,
    connection: Any,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="- for stdin, or a file.")],
    pace: Annotated[bool, typer.Option("--pace", help="Send a file of MPEG-TS at the pace of its own clock.")] = False,
    window: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Length of a window (default: the model's).")
    ] = None,
    hop: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="From window to window (default: one window).")
    ] = None,
    lateness: Lateness = "drop",
    form: Form = "direct",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per window.")] = False,
) -> int:
    """Score a stream of MPEG-TS, fragmented MP4, Matroska, WebM or FLV for as long as it goes on, a line per window."""
    window_seconds, hop_seconds = above_0("--window", window or 0.0, window), above_0("--hop", hop or 0.0, hop)
    from assay.cli.live import LiveOptions, score_live

    options = LiveOptions(
        source, window_seconds, hop_seconds, lateness == "wait", pace, form, asked.attributes, asked.tenant, as_json
    )
    address, credentials = connection
    return asyncio.run(score_live(address, options, credentials))


@app.command()
@_exit_code
def up(
    checkpoint: CheckpointDirectory = None,
    logs: Logs = None,
    address: Annotated[str, typer.Option(metavar="HOST:PORT", help="Of the gateway.")] = "127.0.0.1:50051",
    http_address: Annotated[
        str,
        typer.Option(metavar="HOST:PORT", help="Of its page, REST and gRPC-Web (empty: none; port 0: a free one)."),
    ] = "127.0.0.1:50080",
) -> int:
    """Run the whole stack on this machine: Triton, the services and the gateway, until Ctrl-C."""
    from assay.cli.up import run_up

    return run_up(checkpoint, logs, address, http_address)


@app.command()
@_exit_code
def demo(
    paths: Annotated[list[str] | None, typer.Argument(metavar="PATH", help="Score these files instead.")] = None,
    checkpoint: CheckpointDirectory = None,
    logs: Logs = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Stay up afterwards, with a page to try other files on.")
    ] = False,
) -> int:
    """Bring the stack up on a free port, score demo/photo.jpg and demo/video.mp4, stop it."""
    from assay.cli.up import run_demo

    return run_demo(paths or [], checkpoint, logs, keep)


@app.command()
@_exit_code
def settings(
    program: Annotated[str, typer.Argument(metavar="PROGRAM", help="One program's (default: all).")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="As in docs/settings.md.")] = False,
) -> int:
    """List every environment variable of every program: what it takes, its default, what it does."""
    from assay.cli.settings_table import run_settings
    from assay.stack.settings import MODULES

    if program and program not in MODULES:
        raise typer.BadParameter(f"there is no program {program!r}; there are {', '.join(MODULES)}")
    return run_settings(program, as_json=as_json, as_markdown=as_markdown)


@app.command()
@_exit_code
def doctor(
    address: Annotated[str, typer.Argument(metavar="[HOST:PORT]", help="Of a gateway; else this machine.")] = "",
    tls_ca: TlsCa = "",
    cert: Cert = "",
    token_file: TokenFile = "",
) -> int:
    """Say in sentences what is wrong on this machine, or at an address."""
    silence_grpc()
    from assay.cli.connection import connection_of
    from assay.cli.doctor import run_doctor

    return run_doctor(address, connection_of(address, tls_ca, cert, token_file)[1])


@app.command()
@_exit_code
def key(
    tenant: Annotated[str, typer.Option(metavar="NAME", help="Whose calls are made with it.")],
    scopes: Annotated[str, typer.Option(metavar="A,B,…", help="Of score, live and uri.")] = "score",
    name: Annotated[str, typer.Option(help="What it is called in logs (default: begin of its hash).")] = "",
) -> int:
    """Make an API key.

    The key goes to stderr, once; stdout gets the entry for the file that GATEWAY_AUTH_KEYS names, which knows it by
    its hash alone.
    """
    from assay.cli.key import run_key

    return run_key(tenant, scopes, name)


@checkpoint_app.command("show")
@_exit_code
def show_checkpoint(
    directory: Annotated[Path, typer.Argument(metavar="DIR")],
    memory: Annotated[
        bool, typer.Option("--memory", help="Say what memory and how many tokens serving takes.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Hash the weights even where their hash is recorded.")
    ] = False,
) -> int:
    """Say what a directory holds, and whether it can be served."""
    from assay.cli.checkpoint import show, show_memory

    show(directory, verify)
    if memory:
        show_memory(directory)
    return 0


@checkpoint_app.command("prepare")
@_exit_code
def prepare_checkpoint(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A directory of checkpoints/ with a sources.toml: realqa-7b.")
    ],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to (default runs/checkpoints/NAME).")] = None,
    hub: Annotated[str | None, typer.Option(metavar="URL", help="Another hub than huggingface.co.")] = None,
    cache: Annotated[Path | None, typer.Option(metavar="DIR", help="Download cache (default: the hub's own).")] = None,
    base: Annotated[Path | None, typer.Option(metavar="DIR", help="A local copy of the base model instead.")] = None,
    adapter: Annotated[Path | None, typer.Option(metavar="DIR", help="A local copy of the adapter instead.")] = None,
    folder: Annotated[
        str | None, typer.Option(metavar="NAME", help="Another adapter of the repository than sources.toml names.")
    ] = None,
    variant: Annotated[str | None, typer.Option(metavar="NAME", help="Another of the variants in assay.toml.")] = None,
) -> int:
    """Make a directory that can be served of a base model and an adapter.

    Downloads both (safetensors only, no code of theirs is run), merges them and proves the merge, adds prompts and
    forms, checks the result.
    """
    from assay.cli.checkpoint import prepare

    return prepare(name=name, out=out, hub=hub, cache=cache, base=base, adapter=adapter, folder=folder, variant=variant)
