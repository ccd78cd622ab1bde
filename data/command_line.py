"""Command lines of research: sub-commands of a typer application, and one sentence for whatever goes wrong."""

import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.exceptions import TyperException

from assay.client import NoServer
from assay.errors import AssayError


def application(summary: str) -> typer.Typer:
    """Plain text: help and errors are read in logs as often as on a screen."""
    return typer.Typer(help=summary, rich_markup_mode=None, add_completion=False, no_args_is_help=True)


def run(app: typer.Typer, program: str, arguments: Sequence[str] | None = None) -> int:
    """Runs the sub-command; its exit code, or 2 wrong use, bad data or a missing file, 3 no server, 130 stopped."""
    try:
        code = typer.main.get_command(app).main(arguments, prog_name=f"python -m {program}", standalone_mode=False)
    except TyperException as wrong:
        # Every one that is raised by parsing shows itself, which the base class does not promise.
        shown: Any = wrong
        shown.show()
        return int(shown.exit_code)
    except NoServer as gone:
        print(f"{program}: {gone.message}", file=sys.stderr)
        return 3
    except AssayError as wrong:
        print(f"{program}: {wrong.message}", file=sys.stderr)
        return 2
    except OSError as wrong:
        print(f"{program}: {wrong}", file=sys.stderr)
        return 2
    if code == 130:
        print(f"{program}: stopped; what was written is whole", file=sys.stderr)
    return int(code or 0)
