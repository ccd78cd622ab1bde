"""How an answer probably goes on, from what others had in the same places: read along with a question, it spares the
questions behind it their forwards, as far as it comes true."""

from collections.abc import Callable, Sequence

from assay.decoding.constrained import choice_branches
from assay.decoding.grammar import ChoiceTokens, DigitTokens, ForcedTokens, FreeTokens, Rule
from assay.decoding.lookahead import Guess
from assay.decoding.speculation import PromptLookup, UsualOption

MAX_GUESSED = 32
"""Tokens that are read ahead."""


def guess_rest(
    rules: Sequence[Rule],
    so_far: Sequence[int],
    usual: Callable[[str], UsualOption],
    lookup: Callable[[str], PromptLookup],
) -> Guess:
    """How an answer goes on that has written these tokens of the first rule, up to what nothing is known of, or to a
    choice with branches: they must stand right behind the history when they are asked about, so nothing is read behind
    them."""
    tokens, asked, branches, is_stopped = list[int](), list[int](), Guess().branches, False
    for rule in rules:
        if len(tokens) > MAX_GUESSED or (is_stopped and not _begins_with(rule, tokens.pop())):
            break
        is_stopped = isinstance(rule, FreeTokens)
        match rule:
            case ForcedTokens():
                tokens += rule.tokens
            case DigitTokens():
                tokens += rule.lead
                asked.append(len(tokens))
                break
            case ChoiceTokens():
                forced, _ = rule.options.forced()
                tokens += forced[len(so_far) :]
                asked.append(len(tokens))
                branches = choice_branches(rule)
                option = usual(rule.segment.name).guess()
                if branches or not option:
                    break
                tokens += option[len(forced) :]
            case FreeTokens():
                phrase = lookup(rule.segment.name).guess(so_far)
                asked += range(len(tokens), len(tokens) + max(len(phrase), 1))
                tokens += phrase
                if not phrase:
                    break
        so_far = ()
    return _cut(Guess(tuple(tokens), tuple(asked), branches))


def _begins_with(rule: Rule, stop: int) -> bool:
    """A free text's stop is the first token of what is written behind it."""
    return isinstance(rule, ForcedTokens) and rule.tokens[:1] == (stop,)


def _cut(guess: Guess) -> Guess:
    """Up to the last question within MAX_GUESSED tokens."""
    asked = tuple(count for count in guess.asked if 0 < count <= MAX_GUESSED)
    last = asked[-1] if asked else 0
    is_whole = bool(asked) and guess.asked[-1] == last
    return Guess(guess.tokens[:last], asked, guess.branches if is_whole else ())
