"""The number format is read from a table: by the processor's flags and the checkpoint's shape, never by a clock."""

import json
import logging
from pathlib import Path

import pytest
import torch
from transformers import Qwen2VLConfig

from assay.engine.model.loading import LoadedModel
from assay.engine.model.number_format import NumberFormat, chosen_format, measured_format

NANO = Path(__file__).parents[4] / "checkpoints" / "nano"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"avx2"}, "stored"),
        ({"avx2", "avx_vnni", "avx512_f", "avx512_vnni"}, "stored"),
        ({"avx2", "avx512_f", "avx512_bf16"}, "bfloat16"),
        ({"avx512_f", "avx512_bf16", "amx_bf16"}, "bfloat16"),
    ],
)
@pytest.mark.parametrize("activation", ["gelu", "quick_gelu"])
def test_nano_gets_what_was_measured_for_the_processor(
    flags: set[str], expected: NumberFormat, activation: str
) -> None:
    settings = json.loads((NANO / "config.json").read_text())
    settings["vision_config"]["hidden_act"] = activation
    config = Qwen2VLConfig.from_dict(settings)
    assert measured_format(config, dict.fromkeys(flags, True))[0] == expected


def test_a_checkpoint_of_a_shape_that_was_not_measured_is_computed_as_it_is_stored(checkpoint: LoadedModel) -> None:
    chosen, why = measured_format(checkpoint.model.config, {"amx_bf16": True})
    assert (chosen, "shape" in why) == ("stored", True)


def test_this_processor_gets_the_same_every_time(checkpoint: LoadedModel) -> None:
    assert measured_format(checkpoint.model.config) == measured_format(
        checkpoint.model.config, torch.cpu.get_capabilities()
    )


def test_the_log_says_what_auto_stands_for(checkpoint: LoadedModel, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert chosen_format(checkpoint.model.config, "auto") == "stored"
    assert "number format stored: " in caplog.text
