"""evaluation/claims_page.py: one HTML file, every claim marked."""

from dataclasses import replace

import pytest
from PIL import Image

from assay.client import judgement_from_wire
from evaluation.claims_page import PagePhoto, claims_page
from evaluation.pixel_claims import Checked
from tests.assay import scripted_gateway

WINDOW = judgement_from_wire(scripted_gateway.result()).windows[0]
SENTENCE = "strong appeal: dark, high contrast"


def photo(*checked: Checked, sentence: str = SENTENCE, name: str = "a.jpg") -> PagePhoto:
    window = replace(WINDOW, reasoning=f"{sentence}\nand more")
    return PagePhoto(name, Image.new("RGB", (64, 48), "black"), window, (sentence,), checked)


@pytest.mark.parametrize("is_true", [True, False])
def test_a_claim_is_marked_as_true_or_false_with_what_was_measured(is_true: bool) -> None:
    page = claims_page([photo(Checked("tone", "dark", "bright", is_true))])
    assert f'<mark class="{str(is_true).lower()}" title="tone: bright">dark</mark>' in page


def test_words_outside_of_the_sentences_are_not_marked() -> None:
    page = claims_page([photo(Checked("tone", "dark", "dark", True), sentence="dark")])
    assert page.count("<mark") == 1


def test_the_head_counts_the_claims() -> None:
    checked = (Checked("tone", "dark", "dark", True), Checked("contrast", "high", "low", False))
    assert "1 photos, 2 claims, 1 of them true" in claims_page([photo(*checked)])


def test_what_a_model_writes_is_text_and_no_markup() -> None:
    page = claims_page([photo(sentence="<script>alert(1)</script>", name="<b>.jpg")])
    assert "<script>" not in page
    assert "&lt;b&gt;.jpg" in page


def test_the_page_needs_no_other_file() -> None:
    page = claims_page([photo()])
    assert 'src="data:image/jpeg;base64,' in page
    assert "http" not in page
