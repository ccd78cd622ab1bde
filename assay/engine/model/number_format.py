"""NumberFormat: in what numbers a checkpoint is computed, and the one that is taken where nobody asks for one.

`measured` is a table and no measurement: equal machines score alike after every start. docs/speed.md has it with what
was measured (`python -m benchmarks.formats`): a format is in it only where scores of held-out photos stay within .03
of the stored one's on average, and within .15 at most.
"""

import logging
from collections.abc import Mapping
from typing import Any, Literal

import torch

_log = logging.getLogger(__name__)

NumberFormat = Literal["stored", "bfloat16", "int8"]
"""As the checkpoint has its weights, in float32; vision tower and language model in bfloat16, sums in float32; or the
products of the tower's blocks in 8 bits."""
NumberFormatName = Literal["auto", "stored", "bfloat16", "int8"]

NANO = ((384, 8), (256, 4))
"""Width and depth of the vision tower and of the language model."""
_MEASURED: Mapping[tuple[str, object], NumberFormat] = {
    ("amx_bf16", NANO): "bfloat16",
    ("avx512_bf16", NANO): "bfloat16",
}
"""By what the processor multiplies and the checkpoint's shape, quickest first. All others: stored."""


def chosen_format(config: Any, name: NumberFormatName) -> NumberFormat:
    """What "auto" stands for with a checkpoint's config.json; the log says why."""
    if name != "auto":
        return name
    chosen, why = measured_format(config)
    _log.info("number format %s: %s", chosen, why)
    return chosen


def measured_format(config: Any, flags: Mapping[str, Any] | None = None) -> tuple[NumberFormat, str]:
    """The format for a checkpoint's config.json on a processor of these flags (torch.cpu.get_capabilities, this one's
    if None), and why."""
    flags = torch.cpu.get_capabilities() if flags is None else flags
    text, vision = config.get_text_config(), config.vision_config
    shape = ((vision.embed_dim, vision.depth), (text.hidden_size, text.num_hidden_layers))
    for (flag, measured), number_format in _MEASURED.items():
        if flags.get(flag) and measured == shape:
            return number_format, f"the processor has {flag}, and the checkpoint's shape was measured on such"
    if any(flags.get(flag) for flag, _ in _MEASURED):
        return "stored", "no other was measured for a checkpoint of this shape"
    return "stored", "the processor has no instructions that another was measured on"
