"""Command lines of research: sub-commands of a typer application, and one sentence for whatever goes wrong."""

import inspect
import sys
from collections.abc import Callable, Sequence
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


def with_options(*groups: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a command the options of each group as well; its first arguments are what the groups make of them.

    A group is a function whose parameters are annotated as those of a command are, so ten commands that ask a server
    need not spell out the same four options.
    """
    shared = [list(inspect.signature(group, eval_str=True).parameters.values()) for group in groups]

    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[len(groups) :]

        def called(**given: Any) -> Any:
            made = [
                group(**{each.name: given.pop(each.name) for each in options})
                for group, options in zip(groups, shared, strict=True)
            ]
            return command(*made, **given)

        options = [each.replace(kind=each.KEYWORD_ONLY) for several in (own, *shared) for each in several]
        called.__name__, called.__doc__ = command.__name__, command.__doc__
        called.__annotations__ = {each.name: each.annotation for each in options}
        called.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
        return called

    return decorated
