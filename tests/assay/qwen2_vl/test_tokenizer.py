import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.engine.model.loading import LoadedModel
from assay.errors import CheckpointError, InvalidRequest
from assay.qwen2_vl.tokenizer import TextTokenizer
from tests.tiny_checkpoint import SPECIALS, tiny_tokenizer

TOKENIZER = tiny_tokenizer()
TEXT = TextTokenizer(json.loads(TOKENIZER.backend_tokenizer.to_str()))
texts = st.text(max_size=12) | st.lists(st.sampled_from([*SPECIALS, "a", ".\n", " clutter"])).map("".join)


@given(texts)
def test_no_text_becomes_a_special_token(text: str) -> None:
    assert not set(TEXT.encode(text)) & set(TOKENIZER.all_special_ids)


@given(texts)
def test_the_bytes_of_the_tokens_are_the_text(text: str) -> None:
    composed = unicodedata.normalize("NFC", text)
    assert b"".join(map(TEXT.bytes_of, TEXT.encode(text))).decode() == composed


@given(st.binary(max_size=8))
def test_any_bytes_can_be_encoded(written: bytes) -> None:
    tokens = TEXT.encode_bytes(written)
    spelled = b"".join(map(TEXT.bytes_of, tokens))
    assert spelled == written or spelled.decode() == unicodedata.normalize("NFC", written.decode())


def test_text_without_specials_is_encoded_as_transformers_does() -> None:
    text = "A score of 7.25.\n\nIt's cluttered, 日本 🙂"
    assert TEXT.encode(text) == TOKENIZER.encode(text, add_special_tokens=False)


def test_special_and_unknown_tokens_have_no_bytes() -> None:
    assert [TEXT.bytes_of(token) for token in (TEXT.special.im_end, 100_000)] == [b"", b""]


def test_tokens_with_a_text_in_them_are_found_wherever_it_stands_in_them() -> None:
    found = {TEXT.bytes_of(token) for token in TEXT.with_text(("\n", "core"))}
    assert found == {b"\n", b".\n", b"\n\n", b"score"}
    assert TEXT.with_text(()) == frozenset()


def test_a_lone_surrogate_is_refused_with_its_place() -> None:
    with pytest.raises(InvalidRequest, match="not valid Unicode at character 2"):
        TEXT.encode("ab\ud800")


def test_the_digits_are_tokens_of_their_own(checkpoint: LoadedModel) -> None:
    assert [checkpoint.text.bytes_of(token) for token in checkpoint.text.digits] == [b"%d" % d for d in range(10)]


def test_a_tokeniser_without_a_digit_is_refused() -> None:
    tokenizer = json.loads(tiny_tokenizer().backend_tokenizer.to_str())
    tokenizer["model"]["vocab"]["no such digit"] = tokenizer["model"]["vocab"].pop("7")
    with pytest.raises(CheckpointError, match="must hold '7' as one token"):
        TextTokenizer(tokenizer)


def test_a_missing_special_token_is_named() -> None:
    tokenizer = json.loads(tiny_tokenizer().backend_tokenizer.to_str())
    tokenizer["added_tokens"] = [row for row in tokenizer["added_tokens"] if row["content"] != "<|video_pad|>"]
    with pytest.raises(CheckpointError, match=r"lacks the special tokens <\|video_pad\|>"):
        TextTokenizer(tokenizer)


def test_another_kind_of_tokeniser_is_refused() -> None:
    with pytest.raises(CheckpointError, match="must be a byte-level BPE, got kind = 'WordPiece'"):
        TextTokenizer({"model": {"type": "WordPiece"}, "decoder": None})


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json cannot be read"):
        TextTokenizer.read(tmp_path / "tokenizer.json")
