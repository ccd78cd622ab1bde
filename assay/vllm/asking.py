"""Asking: the positions of a sequence's token trees, answered by vLLM.

A decision is a request of one token with the log-probabilities of those that are allowed; the tokens in front of it are
found in the prefix cache. A free text is one request that goes on as long as what is asked next is what
comes behind the token that it wrote last.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import count

from vllm import SamplingParams
from vllm.outputs import RequestOutput
from vllm.sampling_params import MAX_LOGPROB_TOKEN_IDS, RequestOutputKind
from vllm.v1.engine.async_llm import AsyncLLM

from assay.decoding.token_tree import AllowedTokens, GreedyToken, Query, TokenTree
from assay.errors import ModelUnavailable
from assay.qwen2_vl.model_info import ModelInfo
from assay.vllm.inputs import ClipInput


@dataclass(frozen=True, slots=True)
class PositionAnswer:
    """Implements TokenDistribution, for one query."""

    query: Query
    shares: tuple[float, ...] = ()
    token: int = -1

    def answers(self, query: Query) -> bool:
        """What was asked, and of a free text any further token."""
        return query == self.query or (isinstance(query, GreedyToken) and isinstance(self.query, GreedyToken))

    def probabilities(self, query: AllowedTokens) -> Sequence[float]:
        return self.shares

    def likeliest(self) -> int:
        return self.token


class TreeAsker:
    """Asks for one sequence. `close` it."""

    def __init__(self, llm: AsyncLLM, request_id: str, clip: ClipInput, *, priority: int, model: ModelInfo) -> None:
        self._llm, self._request_id, self._clip = llm, request_id, clip
        self._priority, self._model = priority, model
        self._numbers = count()
        self._tokens: list[int] = []
        self._text: FreeText | None = None
        self._has_sent_pixels = False
        self.cached_tokens = 0
        """Of the prompts of all requests to vLLM so far."""

    async def ask(self, tree: TokenTree) -> list[PositionAnswer]:
        """One answer for each position."""
        before = self._tokens[: tree.keep]
        self._tokens = [*before, *tree.token_ids[: tree.spine_length]]
        prompts = [(*before, *(tree.token_ids[each] for each in tree.path(place))) for place in tree.asked_positions]
        pairs = list(zip(prompts, tree.queries, strict=True))
        # The first one has the clip encoded and the prefix cached; then all others find it.
        first = [await self._answer(*pairs[0])] if not self._has_sent_pixels else []
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._answer(*pair)) for pair in pairs[len(first) :]]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures
        return [*first, *(task.result() for task in tasks)]

    async def close(self) -> None:
        """Abort the free text that is being written."""
        if self._text is not None:
            await self._text.close()
        self._text = None

    async def _answer(self, prompt: tuple[int, ...], query: Query | None) -> PositionAnswer:
        if isinstance(query, GreedyToken):
            return PositionAnswer(query, token=await self._next_token(prompt, query))
        assert query is not None, "nothing is speculated for an engine without logits"
        await self.close()
        return PositionAnswer(query, shares=await self._shares(prompt, query))

    async def _shares(self, prompt: tuple[int, ...], query: AllowedTokens) -> tuple[float, ...]:
        others = () if query.others == "all" else tuple(sorted(query.others))
        asked = [*query.tokens, *others]
        parts = [asked[start : start + MAX_LOGPROB_TOKEN_IDS] for start in range(0, len(asked), MAX_LOGPROB_TOKEN_IDS)]
        shares = [share for part in parts for share in await self._probabilities(prompt, part)]
        own, rest = shares[: len(query.tokens)], shares[len(query.tokens) :]
        if query.others == "all":
            rest = [max(1.0 - sum(own), 0.0)]
        whole = sum(own) + sum(rest)
        return tuple(share / whole for share in [*own, *([sum(rest)] if query.others else [])])

    async def _probabilities(self, prompt: tuple[int, ...], tokens: list[int]) -> list[float]:
        """Of the whole vocabulary's. Nothing asks by `allowed_token_ids`: vLLM 0.32 answers that from the table of
        another request in the batch that asks by `logprob_token_ids`, with 0."""
        params = SamplingParams(
            max_tokens=1,
            temperature=0,
            logprobs=len(tokens),
            logprob_token_ids=tokens,
            detokenize=False,
            skip_clone=True,
        )
        async with aclosing(self._generate(prompt, params)) as outputs:
            found = [each async for output in outputs for each in output.outputs[0].logprobs or ()]
        assert found, "log-probabilities were asked for"
        return [math.exp(found[0][token].logprob) for token in tokens]

    async def _next_token(self, prompt: tuple[int, ...], query: GreedyToken) -> int:
        if self._text is None or not self._text.goes_on(prompt):
            await self.close()
            params = SamplingParams(
                max_tokens=query.max_tokens,
                temperature=0,
                detokenize=False,
                skip_clone=True,
                # The text may go on in no step that nobody needs.
                stop_token_ids=sorted(self._model.ends | self._model.text.with_text(query.stops)),
                output_kind=RequestOutputKind.DELTA,
            )
            self._text = FreeText(prompt, self._generate(prompt, params))
        return await self._text.next_token()

    async def _generate(self, prompt: tuple[int, ...], params: SamplingParams) -> AsyncGenerator[RequestOutput, None]:
        """What vLLM writes; with the clip's pixels only if it does not have them."""
        for with_pixels in (False, True) if self._has_sent_pixels else (True,):
            request_id = f"{self._request_id}-{next(self._numbers)}"
            inputs = self._clip.prompt(prompt, with_pixels=with_pixels)
            stream = self._llm.generate(inputs, params, request_id, priority=self._priority)
            async with aclosing(stream):
                async for output in stream:
                    if not with_pixels and output.outputs[0].finish_reason == "error":
                        break  # They have been evicted.
                    if output.outputs[0].finish_reason == "error":
                        raise ModelUnavailable("the model failed while it wrote this answer; try again")
                    self._has_sent_pixels = True
                    if output.finished:
                        self.cached_tokens += output.num_cached_tokens or 0
                    yield output
                else:
                    return


class FreeText:
    """A greedy text that vLLM is writing, a token at a time."""

    def __init__(self, prompt: tuple[int, ...], stream: AsyncGenerator[RequestOutput, None]) -> None:
        self._prompt, self._stream = prompt, stream
        self._written: list[int] = []
        self._given = 0

    def goes_on(self, prompt: tuple[int, ...]) -> bool:
        """True if the prompt is what has been given out so far."""
        return prompt == (*self._prompt, *self._written[: self._given])

    async def next_token(self) -> int:
        while self._given == len(self._written):
            self._written += (await anext(self._stream)).outputs[0].token_ids
        self._given += 1
        return self._written[self._given - 1]

    async def close(self) -> None:
        await self._stream.aclose()
