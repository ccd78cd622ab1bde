"""Grammar: a form in tokens, made once before the first of them is fed."""

from collections.abc import Iterator
from dataclasses import dataclass

from assay.decoding.trie import Node, grow
from assay.errors import InvalidRequest
from assay.form import Choice, Digits, Form, Free, Literal, Segment
from assay.qwen2_vl.tokenizer import TextTokens

Follow = frozenset[int] | None
"""Tokens with which the answer can go on behind a segment; None: with any (a free text follows)."""


@dataclass(frozen=True, slots=True)
class ForcedTokens:
    """A Literal."""

    segment: Literal
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ChoiceTokens:
    """A Choice: its options as a tree, and what tells an option from a longer one that starts like it."""

    segment: Choice
    options: Node
    follow: Follow


@dataclass(frozen=True, slots=True)
class DigitTokens:
    """Digits: the tokens of the lead, of the ten digits and of the point (none where there are no decimals)."""

    segment: Digits
    lead: tuple[int, ...]
    digits: tuple[int, ...]
    point: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FreeTokens:
    """A Free text."""

    segment: Free


Rule = ForcedTokens | ChoiceTokens | DigitTokens | FreeTokens


def grammar_of(form: Form, text: TextTokens) -> tuple[Rule, ...]:
    """One rule a segment. InvalidRequest names a choice whose options the tokens cannot tell apart."""
    segments = form.segments
    behind: list[Segment | None] = [*segments[1:], None]
    return tuple(_rule(segment, following, text) for segment, following in zip(segments, behind, strict=True))


def longest_answer(rules: tuple[Rule, ...]) -> int:
    """Tokens that an answer can have at most."""
    return sum(_longest(rule) for rule in rules)


def _rule(segment: Segment, following: Segment | None, text: TextTokens) -> Rule:
    match segment:
        case Literal():
            return ForcedTokens(segment, tuple(text.encode(segment.text)))
        case Choice():
            return _choice(segment, _first_tokens(following, text), text)
        case Digits():
            point = tuple(text.encode(".")) if segment.decimals else ()
            return DigitTokens(segment, tuple(text.encode(segment.lead)), text.digits, point)
        case Free():
            return FreeTokens(segment)


def _choice(choice: Choice, follow: Follow, text: TextTokens) -> ChoiceTokens:
    try:
        options = grow({option: text.encode(option) for option in choice.options})
    except ValueError as same:
        raise InvalidRequest(f"choice {choice.name!r}: {same}") from same
    for node in _nodes(options):
        # An option that others go on from is told from them by the token behind it.
        if node.option is not None and follow is not None and not follow - node.children.keys():
            raise InvalidRequest(
                f"choice {choice.name!r}: what follows option {node.option!r} starts like a longer option"
            )
    return ChoiceTokens(choice, options, follow)


def _first_tokens(segment: Segment | None, text: TextTokens) -> Follow:
    match segment:
        case None:
            return frozenset({text.special.im_end})
        case Literal():
            return frozenset(text.encode(segment.text)[:1])
        case Choice():
            return frozenset(text.encode(option)[0] for option in segment.options)
        case Digits():
            return frozenset(text.encode(segment.lead)[:1] or text.digits)
        case Free():
            return None


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children.values():
        yield from _nodes(child)


def _longest(rule: Rule) -> int:
    match rule:
        case ForcedTokens():
            return len(rule.tokens)
        case ChoiceTokens():
            return _depth(rule.options)
        case DigitTokens():
            digits = rule.segment.integer_digits + rule.segment.decimals
            return len(rule.lead) + digits + len(rule.point)
        case FreeTokens():
            return rule.segment.max_tokens


def _depth(node: Node) -> int:
    return max((1 + _depth(child) for child in node.children.values()), default=0)
