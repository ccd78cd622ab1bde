"""What a program knows of the model behind its generator: whether it answers, and which it is."""

from collections.abc import Awaitable, Callable

from assay.errors import Busy, ModelUnavailable


class LiveModel:
    """Asks the model itself, because a server that says "ready" may have lost its model."""

    def __init__(self, ask: Callable[[], Awaitable[str]], wanted_fingerprint: str = "") -> None:
        """`ask` has the model answer a tiny request and returns the fingerprint of its checkpoint, which must be the
        wanted one unless that is empty."""
        self._ask = ask
        self._wanted_fingerprint = wanted_fingerprint
        self._fingerprint = ""

    async def check(self) -> None:
        """Raises ModelUnavailable if the model does not answer, or is another one. A busy one lives."""
        try:
            self._fingerprint = await self._ask()
        except Busy:
            if not self._fingerprint:
                raise
        if self._wanted_fingerprint not in ("", self._fingerprint):
            raise ModelUnavailable(
                f"The model server has checkpoint {self._fingerprint}, this service wants {self._wanted_fingerprint}; "
                "give both the same weights."
            )

    async def fingerprint(self) -> str:
        """Of the checkpoint that answered last; asks if none has answered yet."""
        if not self._fingerprint:
            await self.check()
        return self._fingerprint
