"""Grammar: a form in tokens, made once before the first of them is read; the options of a choice are a trie, so that
only the places where they part are decided."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from assay.errors import InvalidRequest
from assay.form import Choice, Digits, Form, Free, Literal, Segment
from assay.qwen2_vl.tokenizer import TextTokenizer

Follow = frozenset[int] | None
"""Tokens with which the answer can go on behind a segment; None: with any (a free text follows)."""


END = -1
"""Stands among a node's branches where an option ends that others go on from."""


@dataclass(slots=True)
class TrieNode:
    """A place in the trie."""

    children: dict[int, "TrieNode"] = field(default_factory=dict)
    """Next token to the place it leads to."""
    option: str | None = None
    """The option that ends here, if any."""

    @property
    def branches(self) -> tuple[int, ...]:
        """The tokens among which the model decides here, END included; none where the option is settled."""
        return (*self.children, *([END] if self.option is not None and self.children else []))

    def forced(self) -> tuple[list[int], "TrieNode"]:
        """Tokens from here on that leave no choice, and the place where they lead: a decision or an option's end."""
        tokens: list[int] = []
        node = self
        while len(node.branches) == 1:
            ((token, node),) = node.children.items()
            tokens.append(token)
        return tokens, node


@dataclass(frozen=True, slots=True)
class ForcedTokens:
    """A Literal."""

    segment: Literal
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ChoiceTokens:
    """A Choice: its options as a trie, and what tells an option from a longer one that starts like it."""

    segment: Choice
    options: TrieNode
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


def grammar_of(form: Form, text: TextTokenizer) -> tuple[Rule, ...]:
    """One rule a segment. InvalidRequest names a choice whose options the tokens cannot tell apart."""
    segments = form.segments
    behind: list[Segment | None] = [*segments[1:], None]
    return tuple(_rule(segment, following, text) for segment, following in zip(segments, behind, strict=True))


def longest_answer(rules: tuple[Rule, ...]) -> int:
    """Tokens that an answer can have at most."""
    return sum(_longest(rule) for rule in rules)


def _rule(segment: Segment, following: Segment | None, text: TextTokenizer) -> Rule:
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


def _choice(choice: Choice, follow: Follow, text: TextTokenizer) -> ChoiceTokens:
    try:
        options = grow({option: text.encode(option) for option in choice.options})
    except ValueError as same:
        raise InvalidRequest(f"choice {choice.name!r}: {same}") from same
    for node in _nodes(options):
        # The token behind an option says whether it has ended, where longer ones begin like it.
        if node.option is not None and follow is not None and not follow - node.children.keys():
            raise InvalidRequest(
                f"choice {choice.name!r}: what follows option {node.option!r} starts like a longer option"
            )
    return ChoiceTokens(choice, options, follow)


def _first_tokens(segment: Segment | None, text: TextTokenizer) -> Follow:
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


def _nodes(node: TrieNode) -> Iterator[TrieNode]:
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


def _depth(node: TrieNode) -> int:
    return max((1 + _depth(child) for child in node.children.values()), default=0)


def grow(options: Mapping[str, Sequence[int]]) -> TrieNode:
    """The trie of these options. ValueError if two of them are the same row of tokens, or one is none at all."""
    root = TrieNode()
    for option, tokens in options.items():
        node = root
        for token in tokens:
            node = node.children.setdefault(token, TrieNode())
        if node.option is not None or node is root:
            raise ValueError(f"option {option!r} reads like {node.option!r}")
        node.option = option
    return root
