"""gateway/http/query.py: how to score, from the parameters of a URL."""

import pytest
from starlette.datastructures import QueryParams

from assay.errors import InvalidRequest
from assay.v1 import assay_pb2, score_pb2
from gateway.http.query import config_of


def of(text: str, *others: str) -> assay_pb2.ScoreConfig:
    return config_of(QueryParams(text), *others)


def test_form_attributes_and_tenant_are_parameters_of_their_own():
    config = of("form=direct&attributes=clarity,exposure&tenant=acme")
    assert (config.form, [*config.attributes], config.tenant) == (
        score_pb2.ANSWER_FORM_DIRECT,
        ["clarity", "exposure"],
        "acme",
    )


def test_a_parameter_goes_before_what_the_config_says():
    config = of('form=regular&config={"form":"ANSWER_FORM_DIRECT","tenant":"acme"}')
    assert (config.form, config.tenant) == (score_pb2.ANSWER_FORM_REGULAR, "acme")


@pytest.mark.parametrize(
    ("text", "field"),
    [("frm=direct", "frm"), ("form=poem", "form"), ("config={", "config"), ('config={"frm":1}', "config")],
)
def test_what_is_unknown_or_unreadable_is_named(text, field):
    with pytest.raises(InvalidRequest) as wrong:
        of(text)
    assert wrong.value.field == field


def test_a_path_may_know_parameters_of_its_own():
    assert of("uri=https%3A%2F%2Fhost%2Ffile", "uri") == assay_pb2.ScoreConfig()
