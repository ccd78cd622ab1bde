"""GraphRunner: our own forward for a GPU. Short feeds together through CUDA graphs, long ones each by itself, and
pictures beside both.

Its numbers are those of LeanRunner but for rounding, and whoever is beside may change them by BATCH_TOLERANCE. All of
it runs on a CPU as well, where lanes and graphs are nothing, and is compared with LeanRunner there.
"""

import logging
from collections.abc import Collection, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor
from transformers import Qwen2VLForConditionalGeneration

from assay.engine.batched import look_back, read_desk
from assay.engine.cache import Cache
from assay.engine.desk import Desk
from assay.engine.graphs import USES_BEFORE, Graphs, Step
from assay.engine.lanes import Lane, Mark, pinned, to_device, to_host, used_here, wait_for_all, work_here
from assay.engine.lean_runner import BATCH_VARIANT, DEFAULT_KEPT_BYTES, LeanRunner
from assay.engine.looking import Look, Looking
from assay.engine.patches import Patches
from assay.engine.runner import Feed, Turn
from assay.engine.sheet import MOST_LONGEST, MOST_ROWS, Bucket, sheet
from assay.engine.vision import VisionWeights

_log = logging.getLogger(__name__)

DESK_PLACES = 2048
"""Tokens of a sequence that is read through graphs; longer ones are read each by itself."""
MOST_SEATS = 32
DESK_SHARE = 0.1
"""Of the memory that the weights have left."""

BATCH_TOLERANCE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 3e-2}
"""By so much of their length the logits of a sequence may differ with others beside it: matrix libraries add up in an
order that hangs on how many rows there are. About what rounding itself does to them."""
TRIED_TOLERANCE = 0.05
"""Of the length of the hidden states: far above any rounding, far below any mistake."""

Logits = tuple[Tensor, Mark]
"""(places wanted, vocabulary) float32 on the host, once the mark is done."""


class GraphRunner(LeanRunner):
    """Implements Runner."""

    sees_with = Looking
    _seen: Looking

    def __init__(
        self,
        model: Qwen2VLForConditionalGeneration,
        kept_bytes: int = DEFAULT_KEPT_BYTES,
        vision_weights: VisionWeights = "stored",
        *,
        seats: int | None = None,
        places: int = DESK_PLACES,
        graphs: Graphs | None = None,
    ) -> None:
        """As LeanRunner. `seats` (a power of two; as many as DESK_SHARE has room for if None) and `places` (likewise,
        times PLACES_STEP) are of the desk."""
        super().__init__(model, kept_bytes, vision_weights)
        self._device = self._decoder.device
        layers, two, key_heads, _, head_dim = self._decoder.new_memory(0).shape
        shape = (layers, two, key_heads, head_dim)
        place_bytes = layers * two * key_heads * head_dim * self._decoder.dtype.itemsize
        seats = seats or _seats(self._device, places * place_bytes)
        self._desk = Desk(shape, seats, places, like=self._decoder.embedding)
        self._graphs = Graphs(self._device) if graphs is None else graphs
        self._reading = Lane(self._device)

    @property
    def replays(self) -> int:
        """Forwards, of short feeds and of pictures, that were recorded before."""
        return self._graphs.replays + self._seen.graphs.replays

    @torch.inference_mode()
    def settle(self) -> None:
        """Say what is held, and try out a graph; the others are recorded when they are worth it."""
        work_here(self._device)
        self.warnings = (BATCH_VARIANT,)
        _log.info(
            "%d seats of %d tokens for answers in flight hold %.0f MiB on %s; recorded graphs come on top, and each"
            " says what it takes",
            *(self._desk.seats, self._desk.places, self._desk.size_bytes / 2**20, self._device),
        )
        self._try_out(Feed(0, (0, 1, 2, 3)))

    def _try_out(self, feed: Feed) -> None:
        """Without graphs where one gives other numbers than its steps one by one."""
        bucket, count = Bucket.around([feed]), len(feed.token_ids)
        written = sheet(bucket, [(feed, torch.arange(count).expand(3, -1), 0)], spare_place=self._desk.places)
        step = self._step(bucket)
        expected = step(to_device(written, self._device))[:count].float()
        for _ in range(USES_BEFORE + 2):
            made = self._graphs.run(bucket, step, pinned(written, self._device))[:count].float()
            if not bool((made - expected).norm() <= TRIED_TOLERANCE * expected.norm()):
                self._graphs.stop("one gave other numbers than its steps one by one")

    def is_ready(self, cache: Cache) -> bool:
        """False while its clip is being seen beside others; alone, a clip and what is behind it wait for one another in
        their lanes, while the host goes on."""
        look: Look | None = cache.ahead
        return look is None or look.is_urgent or look.done.is_done

    def look(self, clip: Patches) -> Look:
        """Have a clip seen; returns before it is."""
        return self._seen.begin(clip, clip.group_keys)

    def _look_ahead(self, cache: Cache, feed: Feed, *, is_alone: bool, waiting: Collection[bytes]) -> None:
        if cache.ahead is None and self._clip_rows(cache.prompt, feed)[1]:
            cache.ahead = self.look(cache.prompt.clip)
        if cache.ahead is not None:
            cache.ahead.is_urgent = is_alone

    @torch.inference_mode()
    def run(self, turns: Sequence[Turn]) -> list[Tensor]:
        """For each turn (places wanted, vocabulary) float32 logits, on the CPU."""
        self._prepare(turns)
        try:
            made = self._read(turns)
            for _, mark in made.values():
                mark.wait()
        except Exception:
            # What has been started must not go on writing where others are about to.
            wait_for_all(self._device)
            raise
        for cache, feed in turns:
            self._remember(cache, feed)
        return [made[id(cache)][0] for cache, _ in turns]

    def _read(self, turns: Sequence[Turn]) -> dict[int, Logits]:
        """By the id of the cache; returns before it is done."""
        made, ready = dict[int, Logits](), Mark(self._device)
        for group in self._groups([turn for turn in turns if self._is_short(turn)]):
            made |= zip((id(cache) for cache, _ in group), self._read_at_desk(group), strict=True)
        with self._reading.work(after=ready):
            for cache, feed in turns:
                if id(cache) not in made:
                    made[id(cache)] = self._read_alone(cache, feed)
        return made

    def _step(self, bucket: Bucket) -> Step:
        return partial(read_desk, self._decoder, self._desk, bucket)

    def _is_short(self, turn: Turn) -> bool:
        cache, feed = turn
        count = len(feed.token_ids)
        fits = count <= MOST_LONGEST and feed.keep + count <= self._desk.places
        return fits and not self._clip_rows(cache.prompt, feed)[1]

    def _groups(self, turns: Sequence[Turn]) -> Iterator[list[Turn]]:
        """As many at once as have seats, and rows in the largest bucket."""
        group: list[Turn] = []
        rows = 0
        for turn in turns:
            count = len(turn[1].token_ids)
            if len(group) == self._desk.seats or rows + count > MOST_ROWS:
                yield group
                group, rows = [], 0
            group.append(turn)
            rows += count
        if group:
            yield group

    def _read_at_desk(self, turns: Sequence[Turn]) -> list[Logits]:
        """All of them with one forward."""
        bucket = Bucket.around([feed for _, feed in turns])
        memories = [cache.memory for cache, _ in turns]
        seats = self._desk.sit(memories, [feed.keep for _, feed in turns], bucket.sequences)
        lines = [(feed, self._positions(cache, feed), seat) for (cache, feed), seat in zip(turns, seats, strict=True)]
        written = pinned(sheet(bucket, lines, spare_place=self._desk.places), self._device)
        hidden = self._graphs.run(bucket, self._step(bucket), written)
        first, wanted = 0, list[int]()
        for (cache, feed), seat in zip(turns, seats, strict=True):
            count = len(feed.token_ids)
            self._desk.take_back(seat, cache.memory, feed.keep, feed.keep + count)
            wanted += [first + place for place in feed.wanted]
            first += count
        logits, done = self._logits(hidden, wanted)
        return [(each, done) for each in torch.split(logits, [len(feed.wanted) for _, feed in turns])]

    def _read_alone(self, cache: Cache, feed: Feed) -> Logits:
        memory, end = cache.memory, feed.keep + len(feed.token_ids)
        self._desk.leave(memory, feed.keep)
        mask = None if feed.is_chain else self._mask(feed)[:, :end]

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            keys, values = memory.keys_values[layer]
            keys[:, feed.keep : end], values[:, feed.keep : end] = k.transpose(0, 1), v.transpose(0, 1)
            return look_back(q, keys[:, :end], values[:, :end], mask)

        positions = to_device(self._positions(cache, feed), self._device)
        hidden = self._decoder.through(self._embedded(cache, feed), positions, attend)
        return self._logits(hidden, feed.wanted)

    def _logits(self, hidden: Tensor, wanted: Sequence[int]) -> Logits:
        places = to_device(torch.tensor(wanted), self._device)
        return to_host(self._decoder.scores(hidden[places]))

    def _clip(self, cache: Cache) -> Tensor:
        look: Look = cache.ahead or self.look(cache.prompt.clip)
        cache.ahead = look
        look.done.go_on_after()
        return used_here(look.embeddings)

    def _remember(self, cache: Cache, feed: Feed) -> None:
        super()._remember(cache, feed)
        if cache.length >= len(cache.prompt.ids):
            cache.ahead = None


def _seats(device: torch.device, seat_bytes: int) -> int:
    """A power of two."""
    if device.type != "cuda":
        return MOST_SEATS
    free_bytes, _ = torch.cuda.mem_get_info(device)
    room = max(int(DESK_SHARE * free_bytes) // seat_bytes, 1)
    return min(1 << (room.bit_length() - 1), MOST_SEATS)
