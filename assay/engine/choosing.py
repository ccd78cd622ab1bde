"""Choosing: one option is written, greedily, and every option gets its probability."""

from collections.abc import Iterator, Mapping

import torch

from assay.engine.grammar import ChoiceTokens, Follow
from assay.engine.token_row import Making, TokenRow
from assay.engine.trie import END, Node
from assay.generator import Chose, Wrote

Branch = tuple[int, ...]
Shares = Mapping[int, float]
"""Next token (END if the option ends) to its probability, given that it is one of those that options go on with."""


def choose(row: TokenRow, choice: ChoiceTokens) -> Making:
    """Write the greedy option into the row; Wrote and Chose.

    Every place where options part is looked at, also off the greedy path, so that an option's probability is the
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
    probabilities = dict(_probabilities(start, (), 1.0, shares))
    branch, option = _greedy(start, shares)
    row.push(branch)
    name = choice.segment.name
    yield Wrote(name, option)
    yield Chose(name, option, {each: probabilities[each] for each in choice.segment.options})


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


def _greedy(node: Node, shares: Mapping[Branch, Shares]) -> tuple[Branch, str]:
    """The way to the option that is written, and that option."""
    branch: Branch = ()
    while node.branches:
        here = shares[branch]
        best = max(here, key=lambda token: here[token])
        if best == END:
            break
        tokens, node = node.children[best].forced()
        branch = (*branch, best, *tokens)
    return branch, _ended(node)


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
