"""Choosing: one option is written, greedily, and every option gets its probability."""

import torch

from assay.engine.grammar import ChoiceTokens, Follow
from assay.engine.token_row import Making, TokenRow
from assay.engine.trie import END, Node
from assay.generator import Chose, Wrote


def choose(row: TokenRow, choice: ChoiceTokens) -> Making:
    """Write the greedy option into the row; Wrote and Chose.

    Every place where options part is looked at, also off the greedy path, so that an option's probability is the
    product of the conditional ones along its way. The other ways are looked at first: the row then goes on from here.
    """
    probabilities: dict[str, float] = {}
    mass = 1.0
    tokens, node = choice.options.forced()
    row.push(tokens)
    while node.branches:
        shares = _shares((yield from row.look()), node, choice.follow)
        best = max(shares, key=lambda token: shares[token])
        others = {token: share for token, share in shares.items() if token != best}
        yield from _measure(row, node, others, mass, choice.follow, probabilities)
        mass *= shares[best]
        if best == END:
            break
        tokens, node = node.children[best].forced()
        row.push([best, *tokens])
    assert node.option is not None, "a way through the options ends in one of them"
    probabilities[node.option] = mass
    name, options = choice.segment.name, choice.segment.options
    yield Wrote(name, node.option)
    yield Chose(name, node.option, {option: probabilities[option] for option in options})


def _measure(
    row: TokenRow, node: Node, shares: dict[int, float], mass: float, follow: Follow, probabilities: dict[str, float]
) -> Making:
    """Fill in the probabilities of all options behind these branches of the node; the row is left as it is."""
    length = len(row)
    for token, share in shares.items():
        tokens, place = ([], node) if token == END else node.children[token].forced()
        if token == END or not place.branches:
            assert place.option is not None, "a way through the options ends in one of them"
            probabilities[place.option] = mass * share
            continue
        row.push([token, *tokens])
        further = _shares((yield from row.look()), place, follow)
        yield from _measure(row, place, further, mass * share, follow, probabilities)
        row.back_to(length)


def _shares(logits: torch.Tensor, node: Node, follow: Follow) -> dict[int, float]:
    """Probability of each branch, given that it is one of them."""
    logits = logits.double()
    children = list(node.children)
    weights = logits[children]
    if END in node.branches:
        ends = sorted(follow - node.children.keys()) if follow is not None else None
        rest = logits[ends] if ends is not None else logits.index_fill(0, torch.tensor(children), float("-inf"))
        weights = torch.cat([weights, rest.logsumexp(0, keepdim=True)])
    return dict(zip(node.branches, weights.softmax(0).tolist(), strict=True))
