"""The model: transformers' own Qwen2-VL, small."""

import copy
import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import GenerationConfig, Qwen2VLConfig, Qwen2VLForConditionalGeneration

from assay.checkpoint import ModelSpec
from training.tower import vision_config


def new_model(
    tokenizer_file: Path, tower_depth: int, width: int, layers: int, feed_forward: int
) -> Qwen2VLForConditionalGeneration:
    """Random weights; heads are 64 wide, two queries share a key, embeddings are tied."""
    tokenizer = json.loads(tokenizer_file.read_text(encoding="utf-8"))
    special = {row["content"]: row["id"] for row in tokenizer["added_tokens"]}
    text = {
        "vocab_size": len(tokenizer["model"]["vocab"]) + len(special),
        "hidden_size": width,
        "intermediate_size": feed_forward,
        "num_hidden_layers": layers,
        "num_attention_heads": width // 64,
        "num_key_value_heads": width // 128,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-6,
        "bos_token_id": None,
        "eos_token_id": special["<|im_end|>"],
        "pad_token_id": special["<|endoftext|>"],
        "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0, "mrope_section": [8, 12, 12]},
    }
    config: Any = Qwen2VLConfig(
        text_config=text,
        vision_config=vision_config(tower_depth, width),
        image_token_id=special["<|image_pad|>"],
        video_token_id=special["<|video_pad|>"],
        vision_start_token_id=special["<|vision_start|>"],
        vision_end_token_id=special["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    config._attn_implementation = "sdpa"
    model = Qwen2VLForConditionalGeneration(config)
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=False, eos_token_id=[special["<|im_end|>"], special["<|endoftext|>"]],
        pad_token_id=special["<|endoftext|>"],
    )  # fmt: skip
    return model


def taken_up(directory: Path, tokenizer_dir: Path) -> Qwen2VLForConditionalGeneration:
    """The model of a checkpoint, in float32, with today's activation and the tokens of `tokenizer_dir`.

    A token that the checkpoint has not got starts from the mean of the tokens that it is spelt with there.
    """
    config: Any = Qwen2VLConfig.from_pretrained(directory, local_files_only=True)
    config.vision_config.hidden_act = vision_config(1, 1)["hidden_act"]
    config._attn_implementation = "sdpa"
    model = Qwen2VLForConditionalGeneration.from_pretrained(
        directory, config=config, dtype=torch.float32, local_files_only=True
    )
    if (directory / "tokenizer.json").read_bytes() != (tokenizer_dir / "tokenizer.json").read_bytes():
        _spelt_anew(model, directory / "tokenizer.json", tokenizer_dir / "tokenizer.json")
    model.train(True)
    return model


def _embeddings(model: Qwen2VLForConditionalGeneration) -> Tensor:
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, Tensor)
    return weight


@torch.no_grad()
def _spelt_anew(model: Qwen2VLForConditionalGeneration, old_file: Path, new_file: Path) -> None:
    old, new = (Tokenizer.from_file(str(file)) for file in (old_file, new_file))
    before = _embeddings(model).clone()
    rows = torch.empty(new.get_vocab_size(), before.shape[1])
    for token, place in new.get_vocab().items():
        known = old.token_to_id(token)
        spelt = [known] if known is not None else old.encode(new.decode([place]), add_special_tokens=False).ids
        rows[place] = before[spelt].mean(0)
    model.resize_token_embeddings(len(rows))
    _embeddings(model).copy_(rows)
    config: Any = model.config
    config.image_token_id, config.video_token_id = (new.token_to_id(f"<|{kind}_pad|>") for kind in ("image", "video"))
    config.vision_start_token_id = new.token_to_id("<|vision_start|>")
    config.vision_end_token_id = new.token_to_id("<|vision_end|>")
    ends = [new.token_to_id("<|im_end|>"), new.token_to_id("<|endoftext|>")]
    config.text_config.eos_token_id, config.text_config.pad_token_id = ends
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = ends, ends[1]


def preprocessor_config(checkpoint: ModelSpec) -> dict[str, object]:
    """preprocessor_config.json of transformers' image processor, from assay.toml."""
    pixels = checkpoint.pixels
    return {
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2VLProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "rescale_factor": 1 / 255,
        "image_mean": list(pixels.mean),
        "image_std": list(pixels.std),
        "resample": 3,
        "patch_size": pixels.patch_px,
        "temporal_patch_size": pixels.temporal_patch,
        "merge_size": pixels.merge,
        "min_pixels": pixels.min_pixels,
        "max_pixels": pixels.max_pixels,
        "size": {"shortest_edge": pixels.min_pixels, "longest_edge": pixels.max_pixels},
    }


def export(model: Qwen2VLForConditionalGeneration, tokenizer_dir: Path, checkpoint: ModelSpec, out: Path) -> None:
    """Write the checkpoint's files next to assay.toml, each replaced whole; weights as float16."""
    temporary = out.parent / f".{out.name}.part"
    temporary.mkdir(parents=True, exist_ok=True)
    halved: Any = copy.deepcopy(model)
    # Half the bytes; float16 rounds these weights eight times finer than bfloat16.
    halved.to(torch.float16).save_pretrained(temporary)
    # float32 is what the model is to be computed in; plain from_pretrained() then widens the weights as it reads them.
    config = json.loads((temporary / "config.json").read_text(encoding="utf-8"))
    config["dtype"] = config["text_config"]["dtype"] = config["vision_config"]["dtype"] = "float32"
    (temporary / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    text = json.dumps(preprocessor_config(checkpoint), indent=2) + "\n"
    (temporary / "preprocessor_config.json").write_text(text, encoding="utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (temporary / name).write_bytes((tokenizer_dir / name).read_bytes())
    for file in sorted(temporary.iterdir()):
        file.chmod(0o644)
        file.replace(out / file.name)
    temporary.rmdir()
