"""Trie: the options of a choice as a tree of tokens, so that only the places where they part are decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

END = -1
"""Stands among a node's branches where an option ends that others go on from."""


@dataclass(slots=True)
class Node:
    """A place in the tree."""

    children: dict[int, "Node"] = field(default_factory=dict)
    """Next token to the place it leads to."""
    option: str | None = None
    """The option that ends here, if any."""

    @property
    def branches(self) -> tuple[int, ...]:
        """The tokens among which the model decides here, END included; none where the option is settled."""
        return (*self.children, *([END] if self.option is not None and self.children else []))

    def forced(self) -> tuple[list[int], "Node"]:
        """Tokens from here on that leave no choice, and the place where they lead: a decision or an option's end."""
        tokens: list[int] = []
        node = self
        while len(node.branches) == 1:
            ((token, node),) = node.children.items()
            tokens.append(token)
        return tokens, node


def grow(options: Mapping[str, Sequence[int]]) -> Node:
    """The tree of these options. ValueError if two of them are the same row of tokens, or one is none at all."""
    root = Node()
    for option, tokens in options.items():
        node = root
        for token in tokens:
            node = node.children.setdefault(token, Node())
        if node.option is not None or node is root:
            raise ValueError(f"option {option!r} reads like {node.option!r}")
        node.option = option
    return root
