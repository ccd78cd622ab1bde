"""What a program knows of the model behind its generator: whether it answers, and which it is."""

import logging
from collections.abc import Awaitable, Callable, Collection

from assay.errors import Busy, ModelUnavailable
from assay.generator import Finished

_log = logging.getLogger(__name__)


def is_wanted(served: str, wanted: str) -> bool:
    """Whether a fingerprint is the wanted one: of a checkpoint in any number format, or with `-FORMAT` in that one."""
    return wanted in ("", served, served.partition("-")[0])


class LiveModel:
    """Asks the model itself, because a server that says "ready" may have lost its model."""

    def __init__(
        self,
        ask: Callable[[], Awaitable[Finished]],
        wanted_fingerprint: str = "",
        ask_replicas: Callable[[], Awaitable[Collection[str]]] | None = None,
    ) -> None:
        """`ask` has the model answer a tiny request and returns the end of its answer, whose checkpoint must have the
        wanted fingerprint (`is_wanted`); `ask_replicas` returns the fingerprints of all servers behind its name."""
        self._ask, self._ask_replicas = ask, ask_replicas
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
        if not is_wanted(served, self._wanted_fingerprint):
            raise ModelUnavailable(
                f"The model server has checkpoint {served}, this service wants {self._wanted_fingerprint}; "
                "give both the same weights."
            )
        await self._compare_replicas()

    async def _compare_replicas(self) -> None:
        """Once, at the start: a difference shows in scores long before somebody looks for it."""
        ask, self._ask_replicas = self._ask_replicas, None
        if ask and len(found := sorted(await ask())) > 1:
            _log.warning(
                "the model's replicas score unlike one another: they serve %s; give all the same weights and set "
                "TRITON_SERVER_NUMBER_FORMAT to one format",
                " and ".join(found),
            )

    async def last_answer(self) -> Finished:
        """Of the model that answered last, with its fingerprint and warnings; asks if none has answered yet."""
        if self._answer is None:
            await self.check()
        assert self._answer is not None
        return self._answer
