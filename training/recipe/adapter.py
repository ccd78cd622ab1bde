"""Adapter: LoRA on every linear layer, and its files read back so that no weight goes missing unnoticed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor, nn

from assay.errors import CheckpointError
from training.recipe.base import empty_base
from training.recipe.settings import AdapterSettings

VISION = ".visual."
_RENAMED = (
    # transformers moved the tower and the language model under `model`; adapters of before have the old names.
    ("base_model.model.visual.", "base_model.model.model.visual."),
    ("base_model.model.model.layers.", "base_model.model.model.language_model.layers."),
)


def linear_layers(model: nn.Module, vision: bool) -> list[str]:
    """Names of every linear layer but the output head, those of the vision tower if asked for."""
    names = [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear) and name != "lm_head"]
    return [name for name in names if vision or VISION not in f".{name}"]


def with_new_adapter(model: nn.Module, chosen: AdapterSettings) -> PeftModel:
    """Fresh LoRA weights in float32; everything else is frozen."""
    config = LoraConfig(
        r=chosen.rank,
        lora_alpha=chosen.alpha,
        lora_dropout=chosen.dropout,
        target_modules=linear_layers(model, chosen.vision),
        bias="none",
        task_type="CAUSAL_LM",
    )
    adapted: PeftModel = get_peft_model(model, config)
    return adapted


def with_adapter(model: nn.Module, directory: Path, trainable: bool = False) -> PeftModel:
    """The adapter of `directory` in the model. CheckpointError names weights that find no home in the model, and
    places in the model that the adapter asks for and does not fill."""
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        if not (directory / file).is_file():
            raise CheckpointError(f"{directory} holds no {file}; an adapter is what a stage of training writes")
    config = LoraConfig.from_pretrained(str(directory))
    _refuse_unknown(directory, config)
    config.inference_mode = not trainable
    given = current_names(load_file(directory / "adapter_model.safetensors"))
    adapted: PeftModel = get_peft_model(model, config)
    wanted = get_peft_model_state_dict(adapted)
    _refuse(f"{directory}: weights of the adapter find no home in the model", set(given) - set(wanted))
    _refuse(f"{directory}: the adapter's configuration asks for weights that it lacks", set(wanted) - set(given))
    shapes = {name for name in given if given[name].shape != wanted[name].shape}
    _refuse(f"{directory}: weights of the adapter have another shape than the model", shapes)
    if next(model.parameters()).is_meta:
        # peft would move the adapter to where the base is, and there it would lose its values.
        adapted.load_state_dict({_of_module(name): value for name, value in given.items()}, strict=False, assign=True)
    else:
        set_peft_model_state_dict(adapted, given)
    return adapted


def without_base(base: Path, adapter: Path) -> PeftModel:
    """The adapter in the base's model, whose own weights are not loaded. CheckpointError as in with_adapter()."""
    return with_adapter(empty_base(base), adapter)


def adapted_layers(model: PeftModel) -> dict[str, Any]:
    """Name in the base model -> LoRA layer."""
    prefix = "base_model.model."
    named = model.named_modules()
    return {name.removeprefix(prefix): layer for name, layer in named if hasattr(layer, "lora_A")}


def current_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under the names that this release of transformers gives their layers."""
    return {_current(name): values for name, values in weights.items()}


def _current(name: str) -> str:
    for old, new in _RENAMED:
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def _of_module(name: str) -> str:
    """A weight's name in the model, for the one in an adapter's file."""
    return name.replace("lora_A.", "lora_A.default.").replace("lora_B.", "lora_B.default.")


def _refuse_unknown(directory: Path, config: LoraConfig) -> None:
    """CheckpointError if the adapter is more than a product of two matrices that is added to a weight."""
    asks = {
        "use_dora": config.use_dora,
        "modules_to_save": config.modules_to_save,
        "bias": config.bias != "none",
        "lora_bias": config.lora_bias,
    }
    if found := ", ".join(key for key, value in asks.items() if value):
        raise CheckpointError(f"{directory}/adapter_config.json sets {found}; only plain LoRA is merged")


def _refuse(what: str, names: set[str]) -> None:
    if names:
        shown = ", ".join(sorted(names, key=lambda name: (VISION not in name, name))[:4])
        raise CheckpointError(f"{what}: {len(names)}, among them {shown}")
