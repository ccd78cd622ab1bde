"""TextTokenizer: text to token ids and back to bytes, so that no text can ever become a special token."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from assay.errors import CheckpointError, InvalidRequest


def _byte_of_character() -> dict[str, int]:
    """How byte-level BPE spells bytes: printable Latin-1 as itself, all others from U+0100 upwards."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


_BYTES = _byte_of_character()


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """Ids of the tokens that frame a prompt; they are put in by id, never written as text."""

    im_start: int
    im_end: int
    vision_start: int
    vision_end: int
    image_pad: int
    video_pad: int


class TextTokenizer:
    """A byte-level BPE tokeniser that does not know its special tokens when it reads text."""

    def __init__(self, tokenizer_json: dict[str, Any]) -> None:
        """CheckpointError if this is no byte-level BPE, or lacks a special token of Qwen2-VL or a digit."""
        kind, decoder = tokenizer_json["model"].get("type"), (tokenizer_json.get("decoder") or {}).get("type")
        if (kind, decoder) != ("BPE", "ByteLevel"):
            raise CheckpointError(f"tokenizer.json must be a byte-level BPE, got {kind = }, {decoder = }")
        added = tokenizer_json.get("added_tokens", [])
        self._added = {row["id"]: b"" if row["special"] else row["content"].encode() for row in added}
        # Without its added tokens the tokeniser reads "<|im_end|>" as the ten characters that it is.
        without_specials = tokenizer_json | {"added_tokens": [], "truncation": None, "padding": None}
        self._tokenizer = Tokenizer.from_str(json.dumps(without_specials))
        self.special = _special_tokens({row["content"]: row["id"] for row in added})
        self.digits = tuple(self._one_token(str(digit)) for digit in range(10))
        """Ids of "0" to "9"."""
        self._with_text: dict[tuple[str, ...], frozenset[int]] = {}

    @classmethod
    def read(cls, path: Path) -> "TextTokenizer":
        """CheckpointError if the file is no tokeniser that we can use."""
        try:
            return cls(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError) as unreadable:
            raise CheckpointError(f"{path.name} cannot be read: {unreadable!r}") from unreadable

    def encode(self, text: str) -> list[int]:
        """Ids of the text; InvalidRequest if it is not Unicode (a lone surrogate)."""
        try:
            text.encode()
        except UnicodeEncodeError as lone_surrogate:
            raise InvalidRequest(f"text is not valid Unicode at character {lone_surrogate.start}") from lone_surrogate
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def encode_bytes(self, written: bytes) -> list[int]:
        """Ids of a piece of written text, which may start or end within a character."""
        try:
            return self.encode(written.decode())
        except UnicodeDecodeError:
            character_of = {byte: character for character, byte in _BYTES.items()}
            ids = [self._tokenizer.token_to_id(character_of[byte]) for byte in written]
            return [token for token in ids if token is not None]

    def bytes_of(self, token: int) -> bytes:
        """What the token adds to the text: nothing for a special one or for padding of the vocabulary."""
        if token in self._added:
            return self._added[token]
        spelling = self._tokenizer.id_to_token(token) or ""
        return bytes(_BYTES[character] for character in spelling)

    def with_text(self, texts: tuple[str, ...]) -> frozenset[int]:
        """Ids of all tokens that have one of these in them; read through once for the same texts."""
        if texts not in self._with_text:
            wanted, every = [text.encode() for text in texts], {*range(self._tokenizer.get_vocab_size()), *self._added}
            spelt = ((token, self.bytes_of(token)) for token in (every if wanted else ()))
            self._with_text[texts] = frozenset(token for token, own in spelt if any(text in own for text in wanted))
        return self._with_text[texts]

    def _one_token(self, text: str) -> int:
        ids = self.encode(text)
        if len(ids) != 1:
            raise CheckpointError(f"tokenizer.json must hold {text!r} as one token, got {ids}")
        return ids[0]


def _special_tokens(ids: dict[str, int]) -> SpecialTokens:
    names = SpecialTokens.__dataclass_fields__
    missing = [f"<|{name}|>" for name in names if f"<|{name}|>" not in ids]
    if missing:
        raise CheckpointError(f"tokenizer.json lacks the special tokens {', '.join(missing)}")
    return SpecialTokens(**{name: ids[f"<|{name}|>"] for name in names})
