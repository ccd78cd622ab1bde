"""A Qwen2-VL of a few thousand random weights, with its own byte-level tokeniser: for tests of everything that needs
an engine and does not care what it says.

    write_tiny_checkpoint(tmp_path)
    Engine.load(tmp_path, EngineOptions(threads=1))
"""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2VLConfig, Qwen2VLForConditionalGeneration

from tests.rehearsal.weights import PREPROCESSOR

SPECIALS = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    *("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"),
)

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""The parts of Qwen2-VL's own template that one question about one clip goes through."""

_QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# ".\n" is one token, so that a stop can cut a token; "Ġ" is a space and "Ċ" a newline in byte-level spelling.
_MERGES = (". Ċ", "Ċ Ċ", "Ġ c", "l u", "lu t", "t e", "te r", "lut ter", "e d", "Ġ a", "s c", "o r", "sc or", "scor e")


def write_tiny_checkpoint(directory: Path, *, seed: int = 0, max_position_embeddings: int = 2048) -> Path:
    """Fill the directory with config, tokeniser, preprocessor and safetensors; returns it."""
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = tiny_tokenizer()
    tokenizer.save_pretrained(directory)
    (directory / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    config = _config(tokenizer, max_position_embeddings)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Qwen2VLForConditionalGeneration(config)
        for name, values in model.named_parameters():
            # Biases start at zero, and a bug in how they are used would not be observed.
            if name.endswith("bias"):
                torch.nn.init.normal_(values, std=0.2)
            # As shipped ones are stored; others, with odd seeds, as float32 alone can hold them.
            if seed % 2 == 0:
                values.data = values.data.half().float()
        # A trained model never writes placeholders, which transformers would then look for a picture behind.
        model.lm_head.weight.data[[config.image_token_id, config.video_token_id]] = 0.0
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids("<|im_end|>")
    model.generation_config.pad_token_id = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    model.save_pretrained(directory)
    return directory


def write_tiny_adapter(base: Path, directory: Path, *, seed: int = 0) -> Path:
    """Random LoRA weights of RealQA's kind (every linear layer, the tower's too) for a checkpoint; returns it."""
    from training.recipe.adapter import with_new_adapter
    from training.recipe.base import load_base
    from training.recipe.settings import AdapterSettings

    adapted = with_new_adapter(load_base(base, torch.float32), AdapterSettings(rank=4, alpha=8, dropout=0.0))
    generator = torch.Generator().manual_seed(seed)
    for name, values in adapted.named_parameters():
        if "lora_B" in name:
            values.data = torch.randn(values.shape, generator=generator) * 0.05
    adapted.save_pretrained(str(directory))
    return directory


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """All 256 bytes, a few merges, the special tokens of Qwen2-VL; splits text where Qwen's does."""
    pieces = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(merge.replace(" ", "") for merge in _MERGES)]
    merges = [(left, right) for left, right in map(str.split, _MERGES)]
    tokenizer = Tokenizer(models.BPE({piece: token for token, piece in enumerate(pieces)}, merges))
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(_QWEN_SPLIT), behavior="isolated")
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, as_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(special, special=True, normalized=False) for special in SPECIALS])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIALS),
        chat_template=CHAT_TEMPLATE,
    )


def _config(tokenizer: PreTrainedTokenizerFast, max_position_embeddings: int) -> Qwen2VLConfig:
    ids: dict[str, Any] = {special: tokenizer.convert_tokens_to_ids(special) for special in SPECIALS}
    return Qwen2VLConfig(
        text_config={
            # Wider than the tokeniser, as Qwen's own: the last ids mean nothing.
            "vocab_size": 288,
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": max_position_embeddings,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
            # Ten times the usual, so that the answers differ and hang on what is observed.
            "initializer_range": 0.2,
            "bos_token_id": ids["<|endoftext|>"],
            "eos_token_id": ids["<|im_end|>"],
            "tie_word_embeddings": False,
        },
        vision_config={
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 64,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": 14,
            "initializer_range": 0.2,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
