"""LeanRunner: our own forward, for several sequences at once. What it needs of transformers is the loaded weights."""

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Qwen2VLForConditionalGeneration

from assay.decoding.token_tree import Feed, Turn
from assay.engine.cache import Cache
from assay.engine.encoder_cache import Seen
from assay.engine.kv_cache import Memory, Prefixes
from assay.engine.model.attention import KEYS_STEP, attends_steadily, is_steady
from assay.engine.model.rotary import prompt_positions
from assay.engine.model.text import Decoder, Rows
from assay.engine.model.vision import Vision, VisionWeights
from assay.qwen2_vl.prompt_tokens import PromptTokens

_log = logging.getLogger(__name__)

DEFAULT_KEPT_BYTES = 256 << 20
FEW_FLOPS = 2_000_000_000
"""A forward of fewer is quicker on one core: to wake others costs more than they do (benchmarks/LOG.md)."""

BATCH_VARIANT = (
    "sums on this processor depend on how much is computed at once: the last digits of a score may depend on what else "
    "is asked at the same time"
)


class LeanRunner:
    """Implements Runner."""

    most_at_once = 0
    reads_in_pieces = True
    reads_trees = True

    def __init__(
        self,
        model: Qwen2VLForConditionalGeneration,
        kept_bytes: int = DEFAULT_KEPT_BYTES,
        vision_weights: VisionWeights = "stored",
    ) -> None:
        """ValueError says why this model cannot be run here.

        Of `kept_bytes` three quarters are for keys and values, one for what was seen (embeddings of frame pairs).
        """
        if trouble := unsupported(model.config):
            raise ValueError(trouble)
        self._decoder = Decoder(model)
        self.seen = Seen(Vision(model.model.visual, vision_weights), kept_bytes // 4)
        self._prefixes = Prefixes(kept_bytes - kept_bytes // 4)
        self._pads = frozenset({int(model.config.image_token_id), int(model.config.video_token_id)})
        self._threads = 1
        self.warnings: tuple[str, ...] = ()
        config: Any = model.config
        self._merge = int(config.vision_config.spatial_merge_size)

    @property
    def counters(self) -> Mapping[str, int]:
        """Since the start: sequences that began with what had been read and not, frame groups seen before and not."""
        prefixes, seen = self._prefixes.kept, self.seen.kept
        return {
            "prefixes_found": prefixes.uses.found,
            "prefixes_missed": prefixes.uses.missed,
            "prefixes_evicted": prefixes.uses.evicted,
            "prefix_tokens_found": self._prefixes.tokens_found,
            "prefix_bytes": prefixes.held_bytes,
            "frame_groups_found": seen.uses.found,
            "frame_groups_missed": seen.uses.missed,
            "frame_groups_evicted": seen.uses.evicted,
            "frame_group_bytes": seen.held_bytes,
        }

    @torch.inference_mode()
    def settle(self) -> None:
        """Say so if this machine's products are such that a last bit may hang on who is beside."""
        self._threads = self.seen.threads = torch.get_num_threads()
        products = [*self._decoder.products, *self.seen.vision.products]
        shape = self._decoder.heads, self._decoder.key_heads, self._decoder.head_dim
        if not (is_steady(products) and attends_steadily(*shape)):
            self.warnings = (BATCH_VARIANT,)
            _log.warning(BATCH_VARIANT)

    @torch.inference_mode()
    def resume(self, cache: Cache, feed: Feed, *, is_alone: bool, waiting: Collection[bytes]) -> Feed:
        """What is left to read of a first feed, given what is remembered of others that began like it."""
        memory = self._begin(cache.prompt)
        count, keys_values = self._prefixes.find(memory, feed.token_ids[: feed.chain_length])
        if keys_values is not None:
            memory.keys_values = self._decoder.new_memory(len(feed.token_ids))
            memory.keys_values[:, :, :, :count] = keys_values[:, :, :, :count]
            memory.ids = list(feed.token_ids[:count])
            self._adopt(cache, memory, count)
            feed = feed.cut(count)[1]
        self._look_ahead(cache, feed, is_alone=is_alone, waiting=waiting)
        return feed

    def _look_ahead(self, cache: Cache, feed: Feed, *, is_alone: bool, waiting: Collection[bytes]) -> None:
        """Have its clip seen beside, if that is quicker."""
        # Where less waits than there are cores, it is seen on all of them, when it is read.
        is_quicker = self._threads > 1 and self.seen.count_missing(waiting) >= self._threads
        if is_quicker and not self._pads.isdisjoint(feed.token_ids):
            cache.ahead = self.seen.see_beside(cache.prompt.clip, cache.prompt.clip.group_keys)

    def is_ready(self, cache: Cache) -> bool:
        """False while its clip is being seen beside."""
        return all(each.done() for each in (cache.ahead or {}).values())

    def wait(self) -> None:
        """Until one more clip, or frames of one, have been seen."""
        self.seen.wait()

    @torch.inference_mode()
    def run(self, turns: Sequence[Turn]) -> list[Tensor]:
        """For each turn (places wanted, vocabulary) float32 logits, on the CPU."""
        self._prepare(turns)
        self._spread(is_large=True)
        embedded = torch.cat([self._embedded(cache, feed) for cache, feed in turns])
        self._spread(is_large=len(embedded) * self._decoder.flops_a_row > FEW_FLOPS)
        positions = torch.cat([self._positions(cache, feed) for cache, feed in turns], dim=1)
        rows = [Rows(cache.memory.keys_values, feed.keep, self._mask(feed), feed.wanted) for cache, feed in turns]
        logits = self._decoder.logits(self._decoder.read(embedded, positions, rows))
        for cache, feed in turns:
            self._remember(cache, feed)
        return list(torch.split(logits, [len(feed.wanted) for _, feed in turns]))

    def _spread(self, *, is_large: bool) -> None:
        """Over all cores what is large, unless they are busy with clips that are seen beside."""
        if self._threads > 1:
            torch.set_num_threads(self._threads if is_large and not self.seen.is_busy else 1)

    def _prepare(self, turns: Sequence[Turn]) -> None:
        """A memory with room for each."""
        for cache, feed in turns:
            if cache.memory is None:
                self._adopt(cache, self._begin(cache.prompt), 0)
            self._make_room(cache.memory, feed)

    def _remember(self, cache: Cache, feed: Feed) -> None:
        """The feed has been read."""
        cache.length = feed.keep + len(feed.token_ids)
        cache.memory.ids[feed.keep :] = feed.token_ids[: feed.spine_length]

    def _begin(self, prompt: PromptTokens) -> Memory:
        """A memory of nothing."""
        clip = prompt.clip
        start = min(prompt.ids.index(pad) for pad in self._pads if pad in prompt.ids)
        positions = prompt_positions(start, clip.grid_thw, self._merge, len(prompt.ids))
        return Memory(
            clip.group_keys, positions, int(positions.max()) + 1 - len(prompt.ids), self._decoder.new_memory(0)
        )

    def _adopt(self, cache: Cache, memory: Memory, found: int) -> None:
        cache.memory, cache.length, cache.rope_delta = memory, found, memory.rope_delta
        self._prefixes.count(found)
        self._prefixes.put(memory)

    def _make_room(self, memory: Memory, feed: Feed) -> None:
        needed, held = feed.keep + len(feed.token_ids), memory.keys_values
        # What goes away now must not be taken for read if the forward fails.
        del memory.ids[feed.keep :]
        if needed > held.shape[3]:
            memory.keys_values = self._decoder.new_memory(needed)
            memory.keys_values[:, :, :, : feed.keep] = held[:, :, :, : feed.keep]
            self._prefixes.kept.trim()

    def _embedded(self, cache: Cache, feed: Feed) -> Tensor:
        """(tokens, width): rows of the embedding, and the clip's own where its placeholders stand."""
        embedded: Tensor = self._decoder.embedding[torch.tensor(feed.token_ids)]
        first, count = self._clip_rows(cache.prompt, feed)
        if count:
            before = sum(token in self._pads for token in cache.prompt.ids[: feed.keep])
            embedded[first : first + count] = self._clip(cache)[before : before + count]
        return embedded

    def _clip_rows(self, prompt: PromptTokens, feed: Feed) -> tuple[int, int]:
        """Which of the fed tokens stand for the clip, which is in one piece: (first, how many)."""
        within = feed.token_ids[: max(len(prompt.ids) - feed.keep, 0)]
        rows = [place for place, token in enumerate(within) if token in self._pads]
        return (rows[0], len(rows)) if rows else (0, 0)

    def _clip(self, cache: Cache) -> Tensor:
        """(clip tokens, width)."""
        return self.seen.embeddings(cache.prompt.clip, cache.memory.clip_key, cache.ahead or {})

    def _positions(self, cache: Cache, feed: Feed) -> Tensor:
        """(3, tokens), on the CPU."""
        positions = cache.memory.positions
        if feed.keep + len(feed.token_ids) <= positions.shape[1] and feed.is_chain:
            chosen: Tensor = positions[:, feed.keep : feed.keep + len(feed.token_ids)]
            return chosen
        places = torch.tensor(feed.depths) + feed.keep
        behind = (places + cache.rope_delta).expand(3, -1)
        within = positions[:, places.clamp(max=positions.shape[1] - 1)]
        return torch.where(places < positions.shape[1], within, behind)

    def _mask(self, feed: Feed) -> Tensor:
        """(tokens, places) float32, 0 where a token sees, -inf where not."""
        count, keep = len(feed.token_ids), feed.keep
        places = -(-(keep + count) // KEYS_STEP) * KEYS_STEP
        mask = torch.full((count, places), float("-inf"))
        mask[:, :keep] = 0.0
        mask[:, keep : keep + count].masked_fill_(torch.from_numpy(feed.sees), 0.0)
        return mask


def unsupported(config: Any) -> str:
    """Why a model of this configuration cannot be run here; empty if it can."""
    text = config.get_text_config()
    if text.hidden_act != "silu":
        return f"hidden_act {text.hidden_act!r} of the language model is not silu"
    if text.rope_parameters.get("rope_type") not in ("default", "mrope"):
        return f"rope_type {text.rope_parameters.get('rope_type')!r} of the language model is not the default one"
    if getattr(text, "use_sliding_window", False):
        return "the language model uses a sliding window"
    return ""
