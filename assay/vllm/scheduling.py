"""Scheduling: vLLM's scheduler, in which a branch begins with all that its session has read."""

from typing import Any

from vllm.v1.core.kv_cache_manager import KVCacheBlocks
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.request import Request


class BranchScheduler(Scheduler):  # type: ignore[misc]
    """By itself vLLM finds full blocks of a prefix alone. It can make a copy of one that is not full, which it does
    where a model has several kinds of caches; here it is made to."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._trunks: dict[str, tuple[str, int]] = {}

    def add_branch(self, request: Request, session_id: str, shared_tokens: int) -> None:
        """A request whose first tokens, so many, are a session's."""
        self._trunks[request.request_id] = session_id, shared_tokens
        self.add_request(request)

    def _get_local_prefix_cache_hit(self, request: Request) -> tuple[KVCacheBlocks, int, int, bool]:
        blocks, tokens, boundary, is_diverged = super()._get_local_prefix_cache_hit(request)
        session_id, shared_tokens = self._trunks.get(request.request_id, ("", 0))
        if session := self.requests.get(session_id):
            # Of the last token the logits are wanted; what is read in this step is not in a block that is copied now.
            read = min(shared_tokens, session.num_computed_tokens, request.num_tokens - 1)
            if read > tokens:
                whole = self.kv_cache_manager.get_blocks(session_id).blocks
                groups = tuple(group[: -(-read // self.block_size)] for group in whole)
                return self.kv_cache_manager.create_kv_cache_blocks(groups), read, boundary, is_diverged
        return blocks, tokens, boundary, is_diverged

    def _free_request(self, request: Request, delay_free_blocks: bool = False) -> Any:
        self._trunks.pop(request.request_id, None)
        return super()._free_request(request, delay_free_blocks)
