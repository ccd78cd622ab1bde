"""The shapes of the weights, as computed from config.json alone, against transformers' own model."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from assay.errors import CheckpointError
from assay.weight_shapes import check_weights, file_name, layer_name, weight_shapes
from assay.weights import read_json, stored_tensors
from training.recipe.base import without_weights
from training.recipe.shape import config_7b

NANO = Path("checkpoints/nano")


def test_every_weight_of_the_true_7b_has_the_shape_of_transformers_model() -> None:
    config = config_7b()
    theirs = {file_name(name): tuple(value.shape) for name, value in without_weights(config).named_parameters()}
    assert weight_shapes(json.loads(config.to_json_string())) == theirs


def test_names_of_files_and_of_transformers_model_lead_to_each_other() -> None:
    assert all(layer_name(file_name(name)) == name for name, _ in without_weights(config_7b()).named_parameters())


def test_a_checkpoint_with_tied_embeddings_needs_no_output_head() -> None:
    check_weights(read_json(NANO / "config.json"), stored_tensors(NANO))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda weights: weights.pop("model.norm.weight"), r"lacks model\.norm\.weight"),
        (lambda weights: weights.update(more=weights["model.norm.weight"]), "does not know more"),
        (
            lambda weights: weights.update(
                {"model.norm.weight": replace(weights["model.norm.weight"], shape=(255,))}  # type: ignore[type-var]
            ),
            r"is of another shape than the weights: model\.norm\.weight: \[255\] for \[256\]",
        ),
    ],
)
def test_weights_of_another_model_are_refused_by_name(change, said) -> None:
    weights = stored_tensors(NANO)
    change(weights)
    with pytest.raises(CheckpointError, match=said):
        check_weights(read_json(NANO / "config.json"), weights)


def test_a_configuration_without_a_size_names_the_key() -> None:
    config = read_json(NANO / "config.json")
    with pytest.raises(CheckpointError, match="num_attention_heads must be a whole number above 0, got None"):
        weight_shapes(config | {"text_config": {}})
