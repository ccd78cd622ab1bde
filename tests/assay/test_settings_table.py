"""`assay settings`: every setting of every program, as it stands in the code."""

import json
from pathlib import Path

import pytest

from assay import __version__
from assay.cli import main
from assay.cli.settings_table import markdown
from assay.stack.settings import MODULES, settings_of

ROOT = Path(__file__).parents[2]


def test_the_page_of_settings_is_that_of_the_code():
    every = [each for program in MODULES for each in settings_of(program)]
    assert (ROOT / "docs" / "settings.md").read_text() == markdown(every), "run `make gen`"


@pytest.mark.parametrize("program", MODULES)
def test_every_setting_says_what_it_takes_and_what_it_does(program):
    settings = settings_of(program)
    assert settings
    assert [each.variable for each in settings if not each.sentence or "can be read" in each.allowed] == []


def test_settings_of_one_program_are_json(capsys):
    assert main(["settings", "scoring", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)[0]
    assert first == {
        "program": "scoring",
        "variable": "SCORING_ADDRESS",
        "allowed": "HOST:PORT or unix:PATH",
        "default": "127.0.0.1:0",
        "sentence": "Where calls are served.",
    }


def test_settings_are_a_table_for_people(capsys):
    assert main(["settings", "fetch"]) == 0
    assert "FETCH_ALLOWED_HOSTS" in capsys.readouterr().out


def test_a_program_that_there_is_not_is_wrong_use(capsys):
    with pytest.raises(SystemExit) as wrong:
        main(["settings", "gatway"])
    assert (wrong.value.code, "gateway" in capsys.readouterr().err) == (2, True)


def test_the_release_is_said(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"assay {__version__}\n"
