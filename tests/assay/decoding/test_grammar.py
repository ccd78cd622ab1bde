import pytest

from assay.decoding.grammar import END, grammar_of, grow, longest_answer
from assay.engine.model.loading import LoadedModel
from assay.errors import InvalidRequest
from assay.form import Choice, Digits, Form, Free, Literal


def test_the_longest_answer_counts_every_segment(checkpoint: LoadedModel) -> None:
    form = Form((Literal("ab"), Choice("c", (" 1", " 10")), Digits("d", 1, 2, lead=" "), Free("f", 9)))
    assert longest_answer(grammar_of(form, checkpoint.text)) == 2 + 3 + 5 + 9


def test_options_that_what_follows_does_not_tell_apart_are_refused(checkpoint: LoadedModel) -> None:
    form = Form((Choice("grade", ("1", "10")), Literal("0")))
    with pytest.raises(InvalidRequest, match="choice 'grade': what follows option '1' starts like a longer option"):
        grammar_of(form, checkpoint.text)


def test_options_that_read_the_same_are_refused(checkpoint: LoadedModel) -> None:
    form = Form((Choice("word", ("\u00e9", "e\u0301")),))
    with pytest.raises(InvalidRequest, match=r"choice 'word': option .* reads like"):
        grammar_of(form, checkpoint.text)


def test_tokens_that_all_options_share_are_forced() -> None:
    tokens, node = grow({"a": [1, 2, 3], "b": [1, 2, 4]}).forced()
    assert (tokens, node.branches) == ([1, 2], (3, 4))


def test_an_option_that_others_go_on_from_can_end() -> None:
    _, node = grow({"1": [1], "10": [1, 0]}).forced()
    assert (node.option, node.branches) == ("1", (0, END))


def test_an_option_that_none_goes_on_from_is_settled() -> None:
    tokens, node = grow({"a": [1, 2, 3], "b": [4]}).children[1].forced()
    assert (tokens, node.option, node.branches) == ([2, 3], "a", ())


def test_options_of_the_same_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="option 'b' reads like 'a'"):
        grow({"a": [1], "b": [1]})
