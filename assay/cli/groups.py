"""Groups of options that several commands share, and what is made of them."""

import inspect
from collections.abc import Callable
from typing import Any


def with_options(*groups: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a command the options of each group as well; its first arguments are what the groups make of them.

    A group is a function whose parameters are annotated as those of a command are, so ten commands that ask a server
    need not spell out the same four options.
    """
    shared = [list(inspect.signature(group, eval_str=True).parameters.values()) for group in groups]

    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[len(groups) :]

        def called(**given: Any) -> Any:
            made = [
                group(**{each.name: given.pop(each.name) for each in options})
                for group, options in zip(groups, shared, strict=True)
            ]
            return command(*made, **given)

        options = [each.replace(kind=each.KEYWORD_ONLY) for several in (own, *shared) for each in several]
        called.__name__, called.__doc__ = command.__name__, command.__doc__
        called.__annotations__ = {each.name: each.annotation for each in options}
        called.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
        return called

    return decorated
