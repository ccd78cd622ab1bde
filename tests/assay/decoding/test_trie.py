import pytest

from assay.decoding.grammar import END, grow


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
