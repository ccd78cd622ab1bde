"""The command line: `assay score`, `assay live`, `assay up`, `assay demo`, `assay checkpoint`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from assay import __version__
from assay.attribute import KINDS
from assay.cli.video import add_video_options
from assay.errors import AssayError
from assay.stack.settings import MODULES
from assay.wire import FORM_TO_WIRE

_EXIT_CODES = """\
exit codes:
  0  every file was scored
  1  some file could not be scored; stderr says which and why
  2  wrong use
  3  no server answers, or it went away
"""
_JSON = """\
--json prints one object per file and line:
  file, score{value, stddev, scale{minimum, maximum}}, attributes{NAME: {grade, probabilities, text}},
  windows[{start_seconds, end_seconds, frame_count, repeated_frames, is_repeat, score, direct_score, reasoned_score,
  attributes, reasoning}], media, model
  of a video also pooling{method, percentile or worst_count}, worst and best{window_index, start_seconds, end_seconds,
  score}, video{sampling, frames_per_second, frame_count, key_frames, window_seconds, hop_seconds, repeated_frames,
  scene_cuts, skipped_packets}, partial{budget, message, reached_seconds, received_bytes} or null
  with --tenant also composite (as score), at the top and in windows[]; absent where prose left out an attribute
and for a file that could not be scored:
  file, error{reason, message}
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; the exit code (see --help). Wrong use raises SystemExit(2)."""
    options = _parser().parse_args(argv)
    try:
        return int(options.run(options))
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="assay",
        description="Scores how good images and videos look to people, and says why.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"assay {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_score(commands)
    _add_live(commands)
    _add_up(commands)
    _add_demo(commands)
    _add_checkpoint(commands)
    _add_settings(commands)
    _add_key(commands)
    return parser


def _add_score(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "score",
        help="score pictures and videos",
        description="Scores files. Scores go to stdout, one line each; reasoning and attributes to stderr.",
        epilog=f"{_JSON}\n{_EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="a file, a directory (every picture and video in it), - for stdin, or an address that the server gets "
        "itself (https://…, s3://…) if it is set up to",
    )
    _add_score_options(parser, "regular")
    parser.add_argument("--json", action="store_true", help="print one JSON object per file")
    parser.add_argument("-q", "--quiet", action="store_true", help="no reasoning, attributes or progress; errors stay")
    parser.add_argument(
        "--concurrency", type=_positive, default=1, metavar="N", help="files in flight at once (default 1)"
    )
    add_video_options(parser)
    parser.add_argument(
        "--timeout", type=_seconds, default=1800.0, metavar="SECONDS", help="longest time per file (default 1800)"
    )
    parser.set_defaults(run=_run_score)


def _add_live(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "live",
        help="score a live stream while it goes on",
        description="Scores a stream of MPEG-TS, fragmented MP4, Matroska, WebM or FLV for as long as it goes on: one "
        "line per window.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SOURCE", help="- for stdin, or a file")
    parser.add_argument("--pace", action="store_true", help="send a file of MPEG-TS at the pace of its own clock")
    parser.add_argument(
        "--window", type=_seconds, default=0.0, metavar="SECONDS", help="length of a window (default: the model's)"
    )
    parser.add_argument(
        "--hop", type=_seconds, default=0.0, metavar="SECONDS", help="from window to window (default: one window)"
    )
    parser.add_argument(
        "--lateness",
        choices=("drop", "wait"),
        default="drop",
        help="when windows come faster than they are judged: drop the oldest (default), or read more slowly",
    )
    _add_score_options(parser, "direct")
    parser.add_argument("--json", action="store_true", help="print one JSON object per window")
    parser.set_defaults(run=_run_live)


def _add_score_options(parser: argparse.ArgumentParser, default_form: str) -> None:
    parser.add_argument(
        "--form",
        choices=list(FORM_TO_WIRE),
        default=default_form,
        help="direct: the number alone, fastest. regular: ten attributes with reasons. natural: in prose "
        f"(default {default_form})",
    )
    parser.add_argument(
        "--attributes",
        type=_attributes,
        default=(),
        metavar="A,B,…",
        help=f"report these attributes only; known are {', '.join(KINDS)}",
    )
    parser.add_argument(
        "--tenant", default="", metavar="NAME", help="also a composite score, with the weights stored under this name"
    )
    _add_connection_options(parser)


def _add_connection_options(parser: argparse.ArgumentParser) -> None:
    """--server, --tls-ca, --cert and --token-file."""
    parser.add_argument(
        "--server", metavar="HOST:PORT", help="the gateway (default: the variable ASSAY_SERVER, or 127.0.0.1:50051)"
    )
    parser.add_argument(
        "--tls-ca",
        metavar="PEM",
        help="speak TLS; the file holds the authorities of the server's certificate, `system` means this machine's "
        "(default: ASSAY_TLS_CA)",
    )
    parser.add_argument("--cert", metavar="PEM", help="our own certificate with its key (default: ASSAY_CERT)")
    parser.add_argument(
        "--token-file", metavar="FILE", help="holds the token or API key to show (default: ASSAY_TOKEN_FILE)"
    )


def _add_up(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "up",
        help="run the whole stack on this machine",
        description="Starts Triton, the two services and the gateway, and stops them all on Ctrl-C.",
    )
    _add_stack_options(parser)
    parser.add_argument(
        "--address", default="127.0.0.1:50051", metavar="HOST:PORT", help="of the gateway (default 127.0.0.1:50051)"
    )
    parser.add_argument(
        "--http-address",
        default="127.0.0.1:50080",
        metavar="HOST:PORT",
        help="of its page, REST and gRPC-Web (default 127.0.0.1:50080; empty: none; port 0: a free one)",
    )
    parser.set_defaults(run=_run_up)


def _add_demo(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "demo",
        help="bring the stack up, score a photo and a video, stop it",
        description="Brings the stack up on a free port, scores demo/photo.jpg and demo/video.mp4, and stops it.",
    )
    _add_stack_options(parser)
    parser.add_argument("paths", nargs="*", metavar="PATH", help="score these files instead")
    parser.add_argument("--keep", action="store_true", help="stay up afterwards, with a page to try other files on")
    parser.set_defaults(run=_run_demo)


def _add_key(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "key",
        help="make an API key",
        description="Makes an API key. The key goes to stderr, once; stdout gets the entry for the file that "
        "GATEWAY_AUTH_KEYS names, which knows the key by its hash alone.",
    )
    parser.add_argument("--tenant", required=True, metavar="NAME", help="whose calls are made with it")
    parser.add_argument("--scopes", default="score", metavar="A,B,…", help="of score, live and uri (default score)")
    parser.add_argument("--name", default="", help="what it is called in logs (default: begin of its hash)")
    parser.set_defaults(run=_run_key)


def _add_settings(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "settings",
        help="list what can be set from outside",
        description="Lists every environment variable of every program: what it takes, its default, what it does.",
    )
    parser.add_argument(
        "program", nargs="?", choices=list(MODULES), metavar="PROGRAM", help=f"{', '.join(MODULES)} (default: all)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_const", dest="form", const="json", help="one JSON array")
    form.add_argument("--markdown", action="store_const", dest="form", const="markdown", help="as in docs/settings.md")
    parser.set_defaults(run=_run_settings)


def _add_checkpoint(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """`assay checkpoint …` among the commands."""
    parser = commands.add_parser("checkpoint", help="look at a checkpoint, or get one")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    show = verbs.add_parser("show", help="say what a directory holds, and whether it can be served")
    show.add_argument("directory", type=Path, metavar="DIR")
    show.set_defaults(run=_run_show)
    prepare = verbs.add_parser(
        "prepare",
        help="download, merge, check",
        description="Makes a directory that can be served of a base model and an adapter: downloads both (safetensors "
        "only, no code of theirs is run), merges them and proves the merge, adds prompts and forms, checks the result.",
    )
    prepare.add_argument("name", metavar="NAME", help="a directory of checkpoints/ with a sources.toml: realqa-7b")
    prepare.add_argument("--out", type=Path, metavar="DIR", help="where to (default runs/checkpoints/NAME)")
    prepare.add_argument("--hub", metavar="URL", help="another hub than huggingface.co")
    prepare.add_argument("--cache", type=Path, metavar="DIR", help="download cache (default: the hub's own)")
    prepare.add_argument("--base", type=Path, metavar="DIR", help="a local copy of the base model instead")
    prepare.add_argument("--adapter", type=Path, metavar="DIR", help="a local copy of the adapter instead")
    prepare.add_argument("--folder", metavar="NAME", help="another adapter of the repository than sources.toml names")
    prepare.add_argument("--variant", metavar="NAME", help="another of the variants in assay.toml")
    prepare.set_defaults(run=_run_prepare)


def _add_stack_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", type=Path, metavar="DIR", help="the model (default checkpoints/nano)")
    parser.add_argument("--logs", type=Path, metavar="DIR", help="one log per program (default runs/logs)")


def _run_score(options: argparse.Namespace) -> int:
    # gRPC's C core logs to stderr, which is the reader's here, and says nothing that our own sentences do not. It looks
    # at this when it is loaded.
    os.putenv("GRPC_VERBOSITY", "NONE")
    from assay.cli.score import run_score

    return run_score(options)


def _run_live(options: argparse.Namespace) -> int:
    os.putenv("GRPC_VERBOSITY", "NONE")  # as above
    from assay.cli.live import run_live

    return run_live(options)


def _run_up(options: argparse.Namespace) -> int:
    from assay.cli.up import run_up

    return run_up(options)


def _run_demo(options: argparse.Namespace) -> int:
    from assay.cli.up import run_demo

    return run_demo(options)


def _run_settings(options: argparse.Namespace) -> int:
    from assay.cli.settings_table import run_settings

    return run_settings(options)


def _run_key(options: argparse.Namespace) -> int:
    from assay.cli.key import run_key

    return run_key(options)


def _run_show(options: argparse.Namespace) -> int:
    from assay.cli.checkpoint import run_show

    return run_show(options)


def _run_prepare(options: argparse.Namespace) -> int:
    from assay.cli.prepare import run_prepare

    return run_prepare(options)


def _attributes(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if unknown := [name for name in names if name not in KINDS]:
        raise argparse.ArgumentTypeError(f"unknown attribute {', '.join(unknown)}; known are {', '.join(KINDS)}")
    return names


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, got {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, got {text!r}")
    return seconds
