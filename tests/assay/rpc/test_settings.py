"""assay/rpc/settings.py"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Interval
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from assay.errors import SettingsError
from assay.rpc.settings import ServerSettings, load


class Grain(StrEnum):
    WHEAT = "wheat"
    SPELT = "spelt"


@dataclass(frozen=True)
class Flour:
    grams: Annotated[int, Ge(1)] = 500
    rye_share: Annotated[float, Interval(ge=0, le=1)] | None = None
    grain: Grain = Grain.WHEAT


class BakerySettings(ServerSettings):
    model_config = SettingsConfigDict(env_prefix="BAKERY_")

    max_loaves: Annotated[int, Field(ge=1, le=256)] = 16
    heat: Annotated[float, Field(gt=0)] = 220.0
    crust: Literal["thin", "thick"] = "thin"
    flour: Flour = Flour()


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
        ("BAKERY_FLOUR__GRAMS", "0", "BAKERY_FLOUR__GRAMS is '0'; allowed is a whole number from 1"),
        ("BAKERY_FLOUR__RYE_SHARE", "2", "BAKERY_FLOUR__RYE_SHARE is '2'; allowed is a number from 0 to 1"),
        ("BAKERY_FLOUR__GRAIN", "oak", "BAKERY_FLOUR__GRAIN is 'oak'; allowed is one of wheat, spelt"),
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


def test_a_nested_variable_sets_its_field_and_leaves_its_siblings(monkeypatch):
    monkeypatch.setenv("BAKERY_FLOUR__GRAIN", "spelt")
    assert load(BakerySettings).flour == Flour(grain=Grain.SPELT)


def test_a_nested_variable_is_read_from_a_file(monkeypatch, tmp_path):
    (tmp_path / "share").write_text("0.25\n")
    monkeypatch.setenv("BAKERY_FLOUR__RYE_SHARE_FILE", str(tmp_path / "share"))
    assert load(BakerySettings).flour.rye_share == 0.25


def test_a_variable_of_the_whole_group_names_one_of_its_fields(monkeypatch):
    monkeypatch.setenv("BAKERY_FLOUR", '{"grams": 3}')
    with pytest.raises(SettingsError, match="BAKERY_FLOUR is no setting; the closest is BAKERY_FLOUR__"):
        load(BakerySettings)
