"""The tokeniser: Qwen2's byte-level BPE, pruned to the bytes, its earliest merges and what our own texts need."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
_PLAIN = ("single_word", "lstrip", "rstrip", "normalized")
_CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def pruned(source: Path, texts: Iterable[str], english_merges: int) -> dict[str, Any]:
    """A tokenizer.json that reads `texts` exactly as the source does, with few tokens.

    These are 256 bytes, everything that the texts use, the first `english_merges` merges that are plain ASCII words,
    and whatever those are merged from.
    """
    whole: dict[str, Any] = json.loads(source.read_text(encoding="utf-8"))
    merges = [tuple(merge) for merge in whole["model"]["merges"]]
    made_from = {"".join(merge): merge for merge in reversed(merges)}
    reader = Tokenizer.from_file(str(source))
    wanted = {token for text in texts for token in reader.encode(text, add_special_tokens=False).tokens}
    words = ("".join(merge) for merge in merges)
    english = [word for word in words if word.removeprefix("Ġ").isascii() and word.removeprefix("Ġ").isalpha()]
    wanted.update(english[:english_merges])
    used: set[str] = set()
    while wanted:
        token = wanted.pop()
        if token not in used:
            used.add(token)
            wanted.update(made_from.get(token, ()))
    vocabulary: dict[str, int] = whole["model"]["vocab"]
    order = sorted((token for token in vocabulary if token in used or len(token) == 1), key=vocabulary.__getitem__)
    whole["model"]["vocab"] = {token: index for index, token in enumerate(order)}
    present = whole["model"]["vocab"]
    whole["model"]["merges"] = [
        list(merge) for merge in merges if "".join(merge) in present and merge[0] in present and merge[1] in present
    ]
    whole["added_tokens"] = [
        {"id": len(order) + index, "content": token, **dict.fromkeys(_PLAIN, False), "special": True}
        for index, token in enumerate(SPECIAL)
    ]
    return whole


def write(tokenizer_json: dict[str, Any], directory: Path) -> None:
    """tokenizer.json, tokenizer_config.json and the chat template, as transformers wants them."""
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(tokenizer_json, ensure_ascii=False, separators=(",", ":"))
    (directory / "tokenizer.json").write_text(text, encoding="utf-8")
    config = {
        "tokenizer_class": "Qwen2Tokenizer",
        "add_prefix_space": False,
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
        "model_max_length": 4096,
        "clean_up_tokenization_spaces": False,
        "extra_special_tokens": list(SPECIAL[3:]),
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (directory / "chat_template.jinja").write_text(_CHAT_TEMPLATE, encoding="utf-8")
