"""Constrained decoding: a choice and a number, decided among the tokens that the form allows, with probabilities."""

from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate

from assay.decoding.grammar import END, ChoiceTokens, DigitTokens, Follow, TrieNode
from assay.decoding.lookahead import Branch, Decoding, Guess, TokenHistory
from assay.decoding.token_tree import AllowedTokens, Query
from assay.generator import Chose, NumberWritten, Wrote

Shares = Mapping[int, float]
"""Next token (END if the option ends) to its probability, given that it is one of those that options go on with."""

Tens = tuple[float, ...]
"""The probabilities of the ten digits."""


def choose(history: TokenHistory, choice: ChoiceTokens, guess: Callable[[], Guess] = Guess) -> Decoding:
    """Append the chosen option, as the choice is read; Wrote and Chose. `guess` says how the answer goes on.

    Every place where options part is asked about, also off the chosen path, so that an option's probability is the
    product of the conditional ones along its path. All of them take one forward.
    """
    tokens, start = choice.options.forced()
    history.append(tokens)
    # The first is the history as it is.
    places = dict(_decisions(start, ()))
    queries = [_query(node, choice.follow) for node in places.values()]
    here, aside = yield from history.ask_branches(queries[0], choice_branches(choice), guess=guess)
    shares = {
        branch: dict(zip(node.branches, answer.probabilities(query), strict=True))
        for (branch, node), query, answer in zip(places.items(), queries, [here, *aside], strict=True)
    }
    found = dict(_probabilities(start, (), 1.0, shares))
    segment = choice.segment
    probabilities = {each: found[each] for each in segment.options}
    if segment.is_calibrated:
        probabilities = segment.calibrated(probabilities)
    if segment.reading == "median":
        option = _median(probabilities, segment.quantile)
    elif segment.is_calibrated:
        option = max(probabilities, key=lambda each: probabilities[each])
    else:
        option = _greedy(start, shares)
    history.append(_path(start, option))
    yield Wrote(segment.name, option)
    yield Chose(segment.name, option, probabilities)


def choice_branches(choice: ChoiceTokens) -> tuple[tuple[Branch, Query], ...]:
    """What is asked of a choice but for the place where its options part first."""
    _, start = choice.options.forced()
    return tuple((branch, _query(node, choice.follow)) for branch, node in _decisions(start, ()) if branch)


def _decisions(node: TrieNode, branch: Branch) -> Iterator[tuple[Branch, TrieNode]]:
    """The places where options part, from this one on, and the path to each."""
    if not node.branches:
        return
    yield branch, node
    for token, child in node.children.items():
        tokens, place = child.forced()
        yield from _decisions(place, (*branch, token, *tokens))


def _query(node: TrieNode, follow: Follow) -> AllowedTokens:
    """The children, and together with them whatever shows that the option has ended, where it may."""
    children = tuple(node.children)
    if END not in node.branches:
        return AllowedTokens(children)
    return AllowedTokens(children, "all" if follow is None else follow - node.children.keys())


def _probabilities(
    node: TrieNode, branch: Branch, mass: float, shares: Mapping[Branch, Shares]
) -> Iterator[tuple[str, float]]:
    """Every option behind this place to its probability."""
    if not node.branches:
        yield _ended(node), mass
        return
    for token, share in shares[branch].items():
        if token == END:
            yield _ended(node), mass * share
        else:
            tokens, place = node.children[token].forced()
            yield from _probabilities(place, (*branch, token, *tokens), mass * share, shares)


def _median(probabilities: Mapping[str, float], quantile: float) -> str:
    """The first option at which the probabilities of those up to it reach that share."""
    sums = zip(probabilities, accumulate(probabilities.values()), strict=True)
    return next(option for option, so_far in sums if so_far >= quantile)


def _greedy(node: TrieNode, shares: Mapping[Branch, Shares]) -> str:
    """The option that the likeliest token leads to at each place where options part."""
    branch: Branch = ()
    while node.branches:
        here = shares[branch]
        best = max(here, key=lambda token: here[token])
        if best == END:
            break
        tokens, node = node.children[best].forced()
        branch = (*branch, best, *tokens)
    return _ended(node)


def _path(node: TrieNode, option: str) -> Branch:
    """The tokens from this place to an option behind it."""
    return next(path for path, ended in _ends(node, ()) if ended == option)


def _ends(node: TrieNode, path: Branch) -> Iterator[tuple[Branch, str]]:
    """Every option behind this place, and the path to it."""
    if node.option is not None:
        yield path, node.option
    for token, child in node.children.items():
        yield from _ends(child, (*path, token))


def _ended(node: TrieNode) -> str:
    assert node.option is not None, "a path through the options ends in one of them"
    return node.option


def write_number(history: TokenHistory, number: DigitTokens) -> Decoding:
    """Append the greedy digits; Wrote for the whole number, as a part of one says nothing, and NumberWritten.

    One forward a position: all prefixes that are explored have the same length, and are read in one batch.
    """
    segment = number.segment
    if segment.lead:
        history.append(number.lead)
    by_prefix: dict[str, Tens] = {}
    query = AllowedTokens(number.digits)
    joints, prefix, written = {"": 1.0}, "", ""
    for _ in range(segment.integer_digits + segment.decimals):
        others = [each for each in joints if each != prefix]
        back = len(_digit_tokens(number, prefix))
        branches = [(_digit_tokens(number, each), query) for each in others]
        here, aside = yield from history.ask_branches(query, branches, back)
        for each, answer in zip([prefix, *others], [here, *aside], strict=True):
            by_prefix[each] = tuple(answer.probabilities(query))
        best = by_prefix[prefix].index(max(by_prefix[prefix]))
        prefix, written = f"{prefix}{best}", f"{written}{best}{_point(number, prefix)}"
        history.append(_digit_tokens(number, prefix)[back:])
        joints = dict(_longer(joints, by_prefix, prefix, segment.branch_probability))
    yield Wrote(segment.name, segment.lead + written)
    yield NumberWritten(segment.name, written, by_prefix)


def _longer(
    joints: dict[str, float], by_prefix: dict[str, Tens], written: str, least: float
) -> Iterator[tuple[str, float]]:
    """The prefixes of one digit more that are explored, and their probabilities: what is written, and all others
    at least so probable."""
    for prefix, joint in joints.items():
        for digit, probability in enumerate(by_prefix[prefix]):
            longer = f"{prefix}{digit}"
            if longer == written or joint * probability >= least:
                yield longer, joint * probability


def _point(number: DigitTokens, prefix: str) -> str:
    """The point, if it stands behind the digit that comes after this prefix."""
    return "." if number.point and len(prefix) + 1 == number.segment.integer_digits else ""


def _digit_tokens(number: DigitTokens, prefix: str) -> tuple[int, ...]:
    """The prefix as tokens, the point included where it stands behind the last digit."""
    tokens: list[int] = []
    for place, digit in enumerate(prefix):
        tokens.append(number.digits[int(digit)])
        if _point(number, prefix[:place]):
            tokens += number.point
    return tuple(tokens)
