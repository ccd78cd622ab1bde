"""Asking: one answer inside vLLM's core. Its form asks what may stand behind some tokens; requests of vLLM find out.

A session is a request that stays: what is asked next is appended to it, so that vLLM reads the appended tokens alone,
and a free text goes on in it token by token. A branch (another digit, another option) is a request of one token; what
stands in front of it is found in vLLM's prefix cache, up to the last full block.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any, cast

from vllm import SamplingParams
from vllm.sampling_params import MAX_LOGPROB_TOKEN_IDS
from vllm.v1.engine import EngineCoreOutput, FinishReason
from vllm.v1.engine.core import EngineCore
from vllm.v1.request import Request, RequestStatus

from assay.decoding.event_stream import EngineEvent
from assay.decoding.sequence import Sequence as Answering
from assay.decoding.token_tree import AllowedTokens, GreedyToken, Query, TokenTree
from assay.errors import ModelUnavailable
from assay.generator import Finished
from assay.vllm.inputs import ClipInput
from assay.vllm.scheduling import BranchScheduler

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True, order=True)
class AskedPart:
    """What one request of vLLM is to find out."""

    place: int
    """Of the query among the tree's."""
    number: int
    tokens: Tokens
    """Whose probabilities are asked for; none of a free text."""


@dataclass(frozen=True, slots=True)
class PositionAnswer:
    """Implements TokenDistribution, for one query."""

    query: Query
    shares: tuple[float, ...] = ()
    token: int = -1

    def answers(self, query: Query) -> bool:
        return query == self.query

    def probabilities(self, query: AllowedTokens) -> Sequence[float]:
        return self.shares

    def likeliest(self) -> int:
        return self.token


class CoreAsker:
    """Asks for one sequence. `close` it."""

    def __init__(
        self, core: EngineCore, request_id: str, sequence: Answering, clip: ClipInput, *, priority: int
    ) -> None:
        """`request_id`: what the ids of vLLM's requests begin with; a number follows."""
        self._scheduler, self._block_hasher = cast(BranchScheduler, core.scheduler), core.request_block_hasher
        self.request_id = request_id
        self._clip, self._arrived_seconds = clip, time.time()
        # vLLM takes the lowest number first.
        self._priority = -priority
        self._model, self._decoding = sequence.model, sequence.write()
        self._numbers = count()
        self._before: list[int] = []
        self._tokens: list[int] = []
        self._tree = TokenTree(0, ())
        self._session_id = ""
        self._is_writing = False
        """True while the session writes a free text."""
        self._expected: dict[str, AskedPart] = {}
        """By the ids of the requests that have not answered."""
        self._found: dict[AskedPart, list[float]] = {}
        """A token, or the probabilities of the tokens that were asked for."""
        self.cached_tokens = 0
        """Of the prompts of all requests to vLLM so far."""

    @property
    def is_asking(self) -> bool:
        """True if vLLM is to answer something."""
        return bool(self._expected)

    @property
    def has_idle_session(self) -> bool:
        """True if it waits for branches alone."""
        return bool(self._session_id) and self._session_id not in self._expected

    def advance(self) -> list[EngineEvent]:
        """Events that are certain by now. What is not is asked for, unless Finished is the last of them."""
        answers = [self._answer(place, query) for place, query in enumerate(self._tree.queries)] or None
        events: list[EngineEvent] = []
        while True:
            item = self._decoding.send(answers)
            answers = None
            if isinstance(item, TokenTree):
                self._before = self._tokens[: item.keep]
                self._tokens, self._tree = [*self._before, *item.token_ids[: item.spine_length]], item
                self.ask()
                return events
            events.append(item)
            if isinstance(item, Finished):
                self.close()
                return events

    def ask(self) -> None:
        """What the tree asks, of vLLM."""
        self._found.clear()
        main: list[int] = []
        for place, (position, query) in enumerate(zip(self._tree.asked_positions, self._tree.queries, strict=True)):
            prompt = [*self._before, *(self._tree.token_ids[each] for each in self._tree.path(position))]
            assert query is not None, "nothing is speculated for an engine without logits"
            for part in _parts(place, query):
                if not place and not part.number:
                    main = prompt
                    self._ask_session(prompt, part, query)
                else:
                    self._ask_branch(prompt, part, _common(main, prompt))

    def hear(self, output: EngineCoreOutput) -> bool:
        """True if all is answered: `advance`."""
        if output.finish_reason == FinishReason.ERROR:
            raise ModelUnavailable("the model failed while it wrote this answer; try again")
        if output.prefill_stats is not None:
            self.cached_tokens += output.prefill_stats.num_cached_tokens
        part = self._expected.pop(output.request_id, None)
        if part is None:
            return False
        if part.tokens:
            logprobs = output.new_logprobs
            (ids,), (logs,) = logprobs.logprob_token_ids.tolist(), logprobs.logprobs.tolist()
            # Rows that are shorter than the longest of the batch are filled up with -inf.
            known = {token: log for token, log in zip(ids, logs, strict=True) if log > -math.inf}
            self._found[part] = [math.exp(known.get(token, -math.inf)) for token in part.tokens]
        else:
            self._found[part] = output.new_token_ids
            self._is_writing = output.finish_reason is None
        return not self._expected

    def end_session(self) -> None:
        """Its memory is free for others. What is asked next begins anew, with what the prefix cache still has."""
        self._end([self._session_id])
        self._session_id, self._is_writing = "", False

    def close(self) -> None:
        """Nothing of it is left in vLLM; but it can `ask` again."""
        self._end([*self._expected])
        self.end_session()

    def _end(self, request_ids: list[str]) -> None:
        self._scheduler.finish_requests(request_ids, RequestStatus.FINISHED_ABORTED)
        for each in request_ids:
            self._expected.pop(each, None)

    def _answer(self, place: int, query: Query | None) -> PositionAnswer:
        found = [each for part, parts in sorted(self._found.items()) for each in parts if part.place == place]
        if isinstance(query, GreedyToken):
            return PositionAnswer(query, token=int(found[0]))
        assert query is not None
        own, rest = found[: len(query.tokens)], sum(found[len(query.tokens) :])
        if query.others == "all":
            rest = max(1.0 - sum(own), 0.0)
        whole = sum(own) + rest
        return PositionAnswer(query, tuple(share / whole for share in [*own, *([rest] if query.others else [])]))

    def _ask_session(self, prompt: list[int], part: AskedPart, query: Query) -> None:
        session = self._scheduler.requests.get(self._session_id)
        read: list[int] = []
        if session is not None:
            goes_on = self._is_writing and isinstance(query, GreedyToken)
            if goes_on and session.all_token_ids[:] == prompt:
                self._expected[self._session_id] = part
                return
            read = session.all_token_ids[: session.num_computed_tokens]
            waits = session.status == RequestStatus.WAITING_FOR_STREAMING_REQ
            if not waits or len(read) >= len(prompt) or read != prompt[: len(read)]:
                self.end_session()
                session, read = None, []
        params = self._text(query) if isinstance(query, GreedyToken) else _decision(part.tokens)
        if session is None:
            self._session_id = self._new_id()
            request = self._request(self._session_id, prompt, params, resumable=True)
        else:
            # To what the session has read; what was written last, and never read, is dropped by this.
            arrived = self._arrived_seconds
            rest = prompt[len(read) :]
            request = Request(self._session_id, rest, params, None, arrival_time=arrived, resumable=True)
        self._scheduler.add_request(request)
        self._expected[self._session_id] = part

    def _ask_branch(self, prompt: list[int], part: AskedPart, shared_tokens: int) -> None:
        """`shared_tokens`: so many first ones are the session's."""
        request = self._request(self._new_id(), prompt, _decision(part.tokens))
        self._scheduler.add_branch(request, self._session_id, shared_tokens)
        self._expected[request.request_id] = part

    def _request(self, request_id: str, tokens: list[int], params: SamplingParams, **options: Any) -> Request:
        return Request(
            request_id,
            tokens,
            params,
            pooling_params=None,
            arrival_time=self._arrived_seconds,
            mm_features=[self._clip.feature],
            cache_salt=self._clip.salt,
            priority=self._priority,
            block_hasher=self._block_hasher,
            **options,
        )

    def _new_id(self) -> str:
        return f"{self.request_id}-{next(self._numbers)}"

    def _text(self, query: GreedyToken) -> SamplingParams:
        """The text may go on in no step that nobody needs."""
        stops = self._model.ends | self._model.text.with_text(query.stops)
        return SamplingParams(
            max_tokens=query.max_tokens, temperature=0, detokenize=False, stop_token_ids=sorted(stops)
        )


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """So many first tokens are the same."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def _parts(place: int, query: Query) -> Iterator[AskedPart]:
    """As many as it takes, as vLLM answers about so many tokens at most."""
    if isinstance(query, GreedyToken):
        yield AskedPart(place, 0, ())
        return
    others = () if query.others == "all" else tuple(sorted(query.others))
    asked = (*query.tokens, *others)
    for number, start in enumerate(range(0, len(asked), MAX_LOGPROB_TOKEN_IDS)):
        yield AskedPart(place, number, asked[start : start + MAX_LOGPROB_TOKEN_IDS])


@lru_cache(maxsize=1024)
def _decision(tokens: Tokens) -> SamplingParams:
    """Of the whole vocabulary's. Nothing asks by `allowed_token_ids`: vLLM 0.32 answers that from the table of another
    request in the batch that asks by `logprob_token_ids`, with 0."""
    return SamplingParams(
        max_tokens=1, temperature=0, logprobs=len(tokens), logprob_token_ids=list(tokens), detokenize=False
    )
