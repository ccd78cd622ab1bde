"""`assay settings`: what can be set from outside, as a table for people or JSON for programs."""

import dataclasses
import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from assay.stack.settings import MODULES, Setting, settings_of

_HEAD = """\
# Settings

Made by `assay settings --markdown`; `make gen` writes it again. Each is an environment variable of the program. With
`_FILE` behind its name it takes the path of a file that holds the value, as Kubernetes mounts secrets. A variable with
a program's prefix that no program knows stops the program, which names it; those that Kubernetes injects for a Service
(`SCORING_SERVICE_HOST`, `SCORING_PORT=tcp://…` and their kin) are passed over.
"""


def run_settings(program: str, *, as_json: bool, as_markdown: bool) -> int:
    """Prints the settings of one program, or of all if it is empty."""
    settings = [each for name in ([program] if program else MODULES) for each in settings_of(name)]
    if as_json:
        print(json.dumps([dataclasses.asdict(each) for each in settings], indent=2))
    elif as_markdown:
        print(markdown(settings), end="")
    else:
        _print_table(settings)
    return 0


def markdown(settings: Sequence[Setting]) -> str:
    """A table per program."""
    lines = [_HEAD]
    for program in dict.fromkeys(each.program for each in settings):
        lines += [f"## {program}", "", "| variable | takes | default | |", "|---|---|---|---|"]
        lines += [_row(each) for each in settings if each.program == program]
        lines.append("")
    return "\n".join(lines)


def _row(setting: Setting) -> str:
    default = f"`{setting.default}`" if setting.default else "" if setting.default is None else "empty"
    cells = (f"`{setting.variable}`", setting.allowed, default, setting.sentence)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _print_table(settings: Sequence[Setting]) -> None:
    console = Console()
    for program in dict.fromkeys(each.program for each in settings):
        table = Table("variable", "takes", "default", "", title=program, title_justify="left", box=None)
        for each in settings:
            if each.program == program:
                table.add_row(each.variable, each.allowed, each.default or "", each.sentence)
        console.print(table)
