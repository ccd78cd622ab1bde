"""What a program knows of the model behind its generator: whether it answers, and which it is."""

from collections.abc import Awaitable, Callable

from assay.errors import Busy, ModelUnavailable
from assay.generator import Finished


class LiveModel:
    """Asks the model itself, because a server that says "ready" may have lost its model."""

    def __init__(self, ask: Callable[[], Awaitable[Finished]], wanted_fingerprint: str = "") -> None:
        """`ask` has the model answer a tiny request and returns the end of its answer, whose checkpoint must have the
        wanted fingerprint unless that is empty."""
        self._ask = ask
        self._wanted_fingerprint = wanted_fingerprint
        self._answer: Finished | None = None

    async def check(self) -> None:
        """Raises ModelUnavailable if the model does not answer, or is another one. A busy one lives."""
        try:
            self._answer = await self._ask()
        except Busy:
            if self._answer is None:
                raise
        served = self._answer.checkpoint_fingerprint
        if self._wanted_fingerprint not in ("", served):
            raise ModelUnavailable(
                f"The model server has checkpoint {served}, this service wants {self._wanted_fingerprint}; "
                "give both the same weights."
            )

    async def last_answer(self) -> Finished:
        """Of the model that answered last, with its fingerprint and warnings; asks if none has answered yet."""
        if self._answer is None:
            await self.check()
        assert self._answer is not None
        return self._answer
