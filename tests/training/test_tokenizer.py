"""A pruned tokeniser reads our texts as the whole one does, and can spell anything."""

import json
from pathlib import Path

from tokenizers import Tokenizer

from training.tokenizer import pruned

TEXTS = ["The final score is <5.35>.", " moderately blurry"]


def small(source: Path) -> Tokenizer:
    return Tokenizer.from_str(json.dumps(pruned(source, TEXTS, english_merges=10)))


def test_our_texts_are_read_as_before(tokenizer_file: Path) -> None:
    whole = Tokenizer.from_file(str(tokenizer_file))
    assert [small(tokenizer_file).encode(text).tokens for text in TEXTS] == [whole.encode(t).tokens for t in TEXTS]


def test_any_text_survives_the_way_there_and_back(tokenizer_file: Path) -> None:
    tokenizer, text = small(tokenizer_file), "größe 写真 😀 naïve"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_every_digit_is_one_token(tokenizer_file: Path) -> None:
    assert small(tokenizer_file).encode("3072").tokens == ["3", "0", "7", "2"]
