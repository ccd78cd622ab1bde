"""Choosing: one option is written, as the choice is read, and every option gets its probability."""

from collections.abc import Iterator, Mapping
from itertools import accumulate

import torch

from assay.decoding.grammar import ChoiceTokens, Follow
from assay.decoding.lookahead import Making, TokenRow
from assay.decoding.trie import END, Node
from assay.generator import Chose, Wrote

Branch = tuple[int, ...]
Shares = Mapping[int, float]
"""Next token (END if the option ends) to its probability, given that it is one of those that options go on with."""


def choose(row: TokenRow, choice: ChoiceTokens) -> Making:
    """Write the chosen option into the row; Wrote and Chose.

    Every place where options part is looked at, also off the chosen path, so that an option's probability is the
    product of the conditional ones along its way. All of them are looked at in one forward.
    """
    tokens, start = choice.options.forced()
    row.push(tokens)
    # The first is the row as it is.
    places = dict(_decisions(start, ()))
    here, beside = yield from row.look_aside(list(places)[1:])
    shares = {
        branch: _shares(seen, node, choice.follow)
        for (branch, node), seen in zip(places.items(), [here, *beside], strict=True)
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
    row.push(_way(start, option))
    yield Wrote(segment.name, option)
    yield Chose(segment.name, option, probabilities)


def _decisions(node: Node, branch: Branch) -> Iterator[tuple[Branch, Node]]:
    """The places where options part, from this one on, and the way to each."""
    if not node.branches:
        return
    yield branch, node
    for token, child in node.children.items():
        tokens, place = child.forced()
        yield from _decisions(place, (*branch, token, *tokens))


def _probabilities(
    node: Node, branch: Branch, mass: float, shares: Mapping[Branch, Shares]
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


def _greedy(node: Node, shares: Mapping[Branch, Shares]) -> str:
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


def _way(node: Node, option: str) -> Branch:
    """The tokens from this place to an option behind it."""
    return next(way for way, ended in _ends(node, ()) if ended == option)


def _ends(node: Node, way: Branch) -> Iterator[tuple[Branch, str]]:
    """Every option behind this place, and the way to it."""
    if node.option is not None:
        yield way, node.option
    for token, child in node.children.items():
        yield from _ends(child, (*way, token))


def _ended(node: Node) -> str:
    assert node.option is not None, "a way through the options ends in one of them"
    return node.option


def _shares(logits: torch.Tensor, node: Node, follow: Follow) -> Shares:
    """Probability of each branch, given that it is one of them."""
    logits = logits.double()
    children = list(node.children)
    weights = logits[children]
    if END in node.branches:
        ends = sorted(follow - node.children.keys()) if follow is not None else None
        rest = logits[ends] if ends is not None else logits.index_fill(0, torch.tensor(children), float("-inf"))
        weights = torch.cat([weights, rest.logsumexp(0, keepdim=True)])
    return dict(zip(node.branches, weights.softmax(0).tolist(), strict=True))
