"""StopStrings: a free text as it is written, as bytes, up to the first stop string."""

import codecs
from collections.abc import Sequence


class StopStrings:
    """Feed it the bytes of one token after the other; it gives out text that cannot be taken back any more.

    Bytes, because a token may be half a character, and a stop may begin within a token.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop.encode() for stop in stops]
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._tokens: list[bytes] = []
        self._given = 0
        self._end: int | None = None

    @property
    def is_stopped(self) -> bool:
        return self._end is not None

    def feed(self, token: bytes) -> str:
        """Text that is certain now; the rest is held back, as it may be half a character or begin a stop."""
        self._tokens.append(token)
        written = b"".join(self._tokens)
        found = [place for stop in self._stops if (place := written.find(stop, self._given)) >= 0]
        if found:
            self._end = min(found)
            return self._give(written[: self._end], final=True)
        return self._give(written[: len(written) - self._possible_stop(written)], final=False)

    def close(self) -> str:
        """The text ends without a stop: what was held back."""
        return self._give(b"".join(self._tokens), final=True)

    def before_stop(self) -> tuple[int, bytes]:
        """Tokens wholly before the stop, and the bytes before it of the token that the stop cuts."""
        end = sum(map(len, self._tokens)) if self._end is None else self._end
        # Tokens without text (special ones) in front of the stop stay where they are.
        count = length = 0
        while count < len(self._tokens) and length + len(self._tokens[count]) <= end:
            length += len(self._tokens[count])
            count += 1
        return count, b"".join(self._tokens)[length:end]

    def _give(self, certain: bytes, *, final: bool) -> str:
        text = self._decoder.decode(certain[self._given :], final)
        self._given = max(self._given, len(certain))
        return text

    def _possible_stop(self, written: bytes) -> int:
        """Length of the longest end of the text that a stop could begin with, in bytes."""
        lengths = range(min(len(written) - self._given, max(map(len, self._stops), default=1) - 1), 0, -1)
        return next((n for n in lengths if any(stop.startswith(written[-n:]) for stop in self._stops)), 0)
