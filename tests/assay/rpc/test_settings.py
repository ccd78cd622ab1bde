"""assay/rpc/settings.py"""

from typing import Annotated, Literal

import pytest
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from assay.errors import SettingsError
from assay.rpc.settings import ServerSettings, load


class BakerySettings(ServerSettings):
    model_config = SettingsConfigDict(env_prefix="BAKERY_")

    max_loaves: Annotated[int, Field(ge=1, le=256)] = 16
    heat: Annotated[float, Field(gt=0)] = 220.0
    crust: Literal["thin", "thick"] = "thin"


def test_without_variables_the_defaults_hold():
    assert load(BakerySettings).max_loaves == 16


def test_a_variable_with_the_prefix_sets_its_field(monkeypatch):
    monkeypatch.setenv("BAKERY_MAX_LOAVES", "3")
    assert load(BakerySettings).max_loaves == 3


def test_a_misspelt_variable_names_itself_and_the_closest_real_one(monkeypatch):
    monkeypatch.setenv("BAKERY_MAX_LOAFS", "3")
    with pytest.raises(SettingsError, match="BAKERY_MAX_LOAFS is no setting; the closest is BAKERY_MAX_LOAVES"):
        load(BakerySettings)


def test_a_variable_of_another_program_is_none_of_ours(monkeypatch):
    monkeypatch.setenv("BREWERY_MAX_LOAFS", "3")
    assert load(BakerySettings).max_loaves == 16


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("BAKERY_MAX_LOAVES", "0", "BAKERY_MAX_LOAVES is '0'; allowed is a whole number from 1 to 256"),
        ("BAKERY_MAX_LOAVES", "many", "BAKERY_MAX_LOAVES is 'many'; allowed is a whole number from 1 to 256"),
        ("BAKERY_MAX_LOAVES", "", "BAKERY_MAX_LOAVES is ''; allowed is a whole number from 1 to 256"),
        ("BAKERY_HEAT", "-1", "BAKERY_HEAT is '-1'; allowed is a number above 0"),
        ("BAKERY_CRUST", "burnt", "BAKERY_CRUST is 'burnt'; allowed is one of thin, thick"),
        ("BAKERY_ADDRESS", "8001", "BAKERY_ADDRESS is '8001'; allowed is HOST:PORT or unix:PATH"),
    ],
)
def test_a_refused_value_says_what_is_allowed(monkeypatch, variable, value, sentence):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as refused:
        load(BakerySettings)
    assert refused.value.message == sentence


def test_settings_without_a_prefix_are_a_mistake_of_ours():
    with pytest.raises(ValueError, match="ServerSettings needs an env_prefix"):
        load(ServerSettings)
