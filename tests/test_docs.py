"""README and docs: every command can be run as it is written, from the top of a checkout after `make setup`."""

import contextlib
import io
import re
import shlex
from functools import cache
from pathlib import Path

import pytest
import typer

from assay.cli import app

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    page
    for pattern in ("README.md", "docs/*.md", "checkpoints/*/README.md", "demo/*.md")
    for page in ROOT.glob(pattern)
    if page.name != "settings.md"  # made of the settings' own docstrings by `assay settings`
)
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
OURS = ("python", "python3", "assay", "accelerate", "pip", "pytest")
"""Programs of the environment, which nobody has on PATH."""
SETTING = re.compile(r"[A-Z][A-Z_]*=\S*")


def fenced(text: str) -> list[str]:
    """The commands of every block of shell, a line each."""
    blocks = re.findall(r"^```(?:bash|sh|console)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [
        line for line in lines if re.match(r"([A-Z][A-Z_]*=\S* )*(\S+ .*\| )?(\.venv/bin/|make |python|assay)", line)
    ]


def inline(text: str) -> list[str]:
    """Commands in running text: `make demo`, `.venv/bin/python -m evaluation grades`."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"`((?:[A-Z][A-Z_]*=\S* )*(?:\.venv/bin/|make |python -m|assay )[^`]*)`", prose)
    return [command for command in found if command not in (".venv/bin/",)]


def words_of(command: str) -> list[str]:
    """What the shell makes of the last program of a pipe, without settings in front of it."""
    words = shlex.split(command, comments=True)
    if "|" in words:
        words = words[words.index("|") + 1 :]
    while words and SETTING.fullmatch(words[0]):
        words = words[1:]
    return words


COMMANDS = [
    (f"{page.relative_to(ROOT)}: {command}", words_of(command), is_whole)
    for page in PAGES
    for commands, is_whole in ((fenced(page.read_text()), True), (inline(page.read_text()), False))
    for command in commands
]


def by(program: str) -> list[object]:
    """Those that run this program: the words behind its name, and whether none is left out."""
    return [
        pytest.param(words[1:], is_whole, id=name[:90])
        for name, words, is_whole in COMMANDS
        if words and words[0] == program
    ]


def is_runnable(module: str) -> bool:
    path = ROOT / module.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


@cache
def source() -> str:
    """All that our programs say; their options stand in it."""
    packages = ("benchmarks", "data", "evaluation", "gateway", "ingest", "services", "training", "triton_server")
    return "".join(file.read_text() for package in packages for file in (ROOT / package).rglob("*.py"))


def is_option(name: str) -> bool:
    """Whether some program spells it out, or has a parameter of that name from which typer makes it."""
    return re.search(rf'"(--)?{name}"|\b{name.replace("-", "_")}:', source()) is not None


def test_commands_are_found():
    assert len(COMMANDS) > 40


@pytest.mark.parametrize(
    ("name", "words"), [(name, words) for name, words, _ in COMMANDS if words], ids=lambda x: str(x)[:80]
)
def test_a_program_of_the_environment_is_called_where_it_lies(name, words):
    assert words[0] not in OURS, "write .venv/bin/… in front"


@pytest.mark.parametrize(("words", "is_whole"), by("make"))
def test_every_target_of_make_exists(words, is_whole):
    assert {word for word in words if "=" not in word} <= TARGETS


@pytest.mark.parametrize(("words", "is_whole"), by(".venv/bin/python"))
def test_every_module_exists_and_knows_its_options(words, is_whole):
    if words[0] != "-m":
        assert (ROOT / words[0]).is_file()
        return
    if words[1] in ("pip", "pytest"):
        return
    assert is_runnable(words[1]), f"there is no module {words[1]}"
    options = {word.partition("=")[0] for word in words[2:] if word.startswith("--")}
    assert {option for option in options if not is_option(option[2:])} == set()


@pytest.mark.parametrize(("words", "is_whole"), by(".venv/bin/assay"))
def test_every_command_of_assay_is_one_that_it_takes(words, is_whole):
    # In running text arguments may be left out; what is there must be known all the same.
    arguments = words if is_whole else [*words, "--help"]
    command, words = typer.main.get_command(app), list(arguments)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(typer.Exit):
        while words:  # down to the command that takes the rest
            context = command.make_context(words[0], words)
            if not hasattr(command, "resolve_command"):
                return
            _, command, words = command.resolve_command(context, [*context._protected_args, *context.args])
