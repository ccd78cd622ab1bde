"""ModelRunner: a batch of token trees to logits, on a CPU. What it needs of transformers is the loaded weights."""

import logging
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor
from transformers import Qwen2VLForConditionalGeneration

from assay.decoding.token_tree import AllowedTokens, Query, TokenTree
from assay.engine.encoder_cache import EncoderCache
from assay.engine.kv_cache import KVCache, KVSlot, ScheduledStep, SequenceState
from assay.engine.model.attention import KEYS_STEP, attention_is_batch_invariant, products_are_batch_invariant
from assay.engine.model.number_format import NumberFormat
from assay.engine.model.rotary import prompt_positions
from assay.engine.model.text import SequenceRows, TextModel
from assay.engine.model.vision import vision_of
from assay.errors import CheckpointError
from assay.qwen2_vl.prompt_tokens import PromptTokens

_log = logging.getLogger(__name__)

DEFAULT_CACHE_BYTES = 256 << 20
FEW_FLOPS = 2_000_000_000
"""A forward of fewer is quicker on one core: to wake others costs more than they do (benchmarks/LOG.md)."""

BATCH_VARIANT = (
    "sums on this processor depend on how much is computed at once: the last digits of a score may depend on what else "
    "is asked at the same time"
)


class Logits:
    """Implements TokenDistribution."""

    def __init__(self, logits: Tensor) -> None:
        """(vocabulary,) float32."""
        self._logits = logits

    def answers(self, query: Query) -> bool:
        """Everything."""
        return True

    def probabilities(self, query: AllowedTokens) -> Sequence[float]:
        """In double precision."""
        allowed = list(query.tokens)
        weights = self._logits[allowed].double()
        if query.others == "all":
            others = self._logits.double().index_fill(0, torch.tensor(allowed), float("-inf"))
            weights = torch.cat([weights, others.logsumexp(0, keepdim=True)])
        elif query.others:
            others = self._logits[sorted(query.others)].double()
            weights = torch.cat([weights, others.logsumexp(0, keepdim=True)])
        probabilities: list[float] = weights.softmax(0).tolist()
        return probabilities

    def likeliest(self) -> int:
        return int(self._logits.argmax())


class ModelRunner:
    """Runs the token trees of several sequences. A prompt may be split (TokenTree.split), also within the clip's
    tokens."""

    def __init__(
        self,
        model: Qwen2VLForConditionalGeneration,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        number_format: NumberFormat = "stored",
    ) -> None:
        """CheckpointError says why this model cannot be run.

        Of `cache_bytes` three quarters are for the KV cache, one for the encoder cache.
        """
        if trouble := _unsupported(model.config):
            raise CheckpointError(f"our own engine cannot run this checkpoint: {trouble}")
        self._text = TextModel(model, is_bfloat16=number_format == "bfloat16")
        self.encoder_cache = EncoderCache(vision_of(model.model.visual, number_format), cache_bytes // 4)
        self._kv_cache = KVCache(cache_bytes - cache_bytes // 4)
        self._pads = frozenset({int(model.config.image_token_id), int(model.config.video_token_id)})
        self.threads = 1
        """Cores for what is large; may be changed between two forwards."""
        self.warnings: tuple[str, ...] = ()
        config: Any = model.config
        self._merge = int(config.vision_config.spatial_merge_size)

    def shared_by(self, workers: int) -> list["ModelRunner"]:
        """Runners of the same weights, for a thread each, with caches of their own that are as large together."""
        runners = [copy(self) for _ in range(workers)]
        for runner in runners:
            runner.encoder_cache = EncoderCache(
                self.encoder_cache.vision, int(self.encoder_cache.groups.maxsize) // workers
            )
            runner._kv_cache = KVCache(int(self._kv_cache.slots.maxsize) // workers)
        return runners

    @property
    def flops_a_row(self) -> int:
        """Floating-point operations that a token takes in the language model, attention apart."""
        return self._text.flops_a_row

    @property
    def counters(self) -> Mapping[str, int]:
        """Since the start: sequences that began with a cached prefix and not, frame groups that were cached and not."""
        slots, groups = self._kv_cache.slots, self.encoder_cache.groups
        return {
            "prefixes_found": slots.hits,
            "prefixes_missed": slots.misses,
            "prefixes_evicted": slots.evictions,
            "prefix_tokens_found": self._kv_cache.tokens_found,
            "prefix_bytes": int(slots.currsize),
            "frame_groups_found": groups.hits,
            "frame_groups_missed": groups.misses,
            "frame_groups_evicted": groups.evictions,
            "frame_group_bytes": int(groups.currsize),
        }

    @torch.inference_mode()
    def warm_up(self) -> None:
        """Called once, on the thread that will run it. Warns if this machine's products are such that a last bit may
        depend on the rest of the batch (Finished.warnings)."""
        self.threads = self.encoder_cache.threads = torch.get_num_threads()
        products = [*self._text.products, *self.encoder_cache.vision.products]
        shape = self._text.heads, self._text.key_heads, self._text.head_dim
        if not (products_are_batch_invariant(products) and attention_is_batch_invariant(*shape)):
            self.warnings = (BATCH_VARIANT,)
            _log.warning(BATCH_VARIANT)

    @torch.inference_mode()
    def begin(self, state: SequenceState, tree: TokenTree, *, waiting: Collection[bytes]) -> TokenTree:
        """What is left to read of a first tree, given the cached prefixes.

        Its clip may be encoded on other threads while other sequences are read. `waiting` are the frame groups
        (Patches.group_keys) of this and all other sequences that have not begun.
        """
        slot = self._unread_slot(state)
        count, keys_values = self._kv_cache.find_prefix(slot, tree.token_ids[: tree.chain_length])
        if keys_values is not None:
            slot.keys_values = self._text.new_keys_values(len(tree.token_ids))
            slot.keys_values[:, :, :, :count] = keys_values[:, :, :, :count]
            slot.ids = list(tree.token_ids[:count])
            self._take(state, slot, count)
            tree = tree.split(count)[1]
        self._encode_ahead(state, tree, waiting=waiting)
        return tree

    def _encode_ahead(self, state: SequenceState, tree: TokenTree, *, waiting: Collection[bytes]) -> None:
        """Send its clip through the tower on other threads, if that is quicker."""
        # Where less waits than there are cores, it goes through on all of them, when it is read.
        is_quicker = self.threads > 1 and self.encoder_cache.count_missing(waiting) >= self.threads
        if is_quicker and not self._pads.isdisjoint(tree.token_ids):
            state.pending = self.encoder_cache.encode_ahead(state.prompt.clip, state.prompt.clip.group_keys)

    @torch.inference_mode()
    def encode(self, state: SequenceState, tree: TokenTree) -> bool:
        """Put its clip through the vision tower, if the tree needs it and that was not done; False if not."""
        if state.pending or self._pads.isdisjoint(tree.token_ids):
            return False
        self._set_threads(is_large=True)
        clip = state.prompt.clip
        state.pending, is_new = self.encoder_cache.encode_now(clip, clip.group_keys)
        return is_new

    def is_ready(self, state: SequenceState) -> bool:
        """False while its clip goes through the tower on other threads: to read it would be to wait."""
        return all(each.done() for each in state.pending.values())

    def wait(self) -> None:
        """Until one more clip, or frames of one, are through the tower."""
        self.encoder_cache.wait()

    @torch.inference_mode()
    def run(self, steps: Sequence[ScheduledStep]) -> list[Tensor]:
        """For each step (positions, vocabulary) float32 logits. A sequence comes up once at most.

        Afterwards the next tree may keep the tokens in front of the first fork, and the spine.
        """
        slots = [self._slot(state, tree) for state, tree in steps]
        self._set_threads(is_large=True)
        embedded = torch.cat(
            [self._embedded(state, slot, tree) for (state, tree), slot in zip(steps, slots, strict=True)]
        )
        self._set_threads(is_large=len(embedded) * self.flops_a_row > FEW_FLOPS)
        positions = torch.cat([_positions(slot, tree) for (_, tree), slot in zip(steps, slots, strict=True)], dim=1)
        rows = [
            SequenceRows(slot.keys_values, tree.keep, _mask(tree), tree.asked_positions)
            for (_, tree), slot in zip(steps, slots, strict=True)
        ]
        logits = self._text.logits(self._text.forward(embedded, positions, rows))
        for (_, tree), slot in zip(steps, slots, strict=True):
            slot.ids[tree.keep :] = tree.token_ids[: tree.spine_length]
        return list(torch.split(logits, [len(tree.asked_positions) for _, tree in steps]))

    def _set_threads(self, *, is_large: bool) -> None:
        """All cores for what is large, unless they are busy with clips."""
        threads = self.threads if is_large and not self.encoder_cache.is_busy else 1
        if threads != torch.get_num_threads():
            torch.set_num_threads(threads)

    def _slot(self, state: SequenceState, tree: TokenTree) -> KVSlot:
        """The sequence's, with room for the tree."""
        slot = state.slot
        if slot is None:
            slot = self._unread_slot(state)
            self._take(state, slot, 0)
        self._make_room(slot, tree)
        return slot

    def _unread_slot(self, state: SequenceState) -> KVSlot:
        if state.unread is None:
            state.unread = self._new_slot(state.prompt)
        return state.unread

    def _new_slot(self, prompt: PromptTokens) -> KVSlot:
        """Without a token in it."""
        clip = prompt.clip
        start = min(prompt.ids.index(pad) for pad in self._pads if pad in prompt.ids)
        positions = prompt_positions(start, clip.grid_thw, self._merge, len(prompt.ids))
        rope_delta = int(positions.max()) + 1 - len(prompt.ids)
        return KVSlot(clip.group_keys, positions, rope_delta, self._text.new_keys_values(0))

    def _take(self, state: SequenceState, slot: KVSlot, found: int) -> None:
        state.slot, state.unread = slot, None
        self._kv_cache.count_use(found)
        self._kv_cache.add(slot)

    def _make_room(self, slot: KVSlot, tree: TokenTree) -> None:
        needed, before = tree.keep + len(tree.token_ids), slot.keys_values
        # What goes away now must not be taken for read if the forward fails.
        del slot.ids[tree.keep :]
        if needed > before.shape[3]:
            slot.keys_values = self._text.new_keys_values(needed)
            slot.keys_values[:, :, :, : tree.keep] = before[:, :, :, : tree.keep]
            self._kv_cache.grown(slot)

    def _embedded(self, state: SequenceState, slot: KVSlot, tree: TokenTree) -> Tensor:
        """(tokens, width): rows of the embedding, and the clip's own where its placeholders stand."""
        embedded: Tensor = self._text.embedding[torch.tensor(tree.token_ids)]
        first, count = self._clip_rows(state.prompt, tree)
        if count:
            before = sum(token in self._pads for token in state.prompt.ids[: tree.keep])
            clip = self.encoder_cache.embeddings(state.prompt.clip, slot.clip_key, state.pending)
            embedded[first : first + count] = clip[before : before + count]
        return embedded

    def _clip_rows(self, prompt: PromptTokens, tree: TokenTree) -> tuple[int, int]:
        """Which of the tree's tokens stand for the clip, which is in one piece: (first, how many)."""
        within = tree.token_ids[: max(len(prompt.ids) - tree.keep, 0)]
        rows = [place for place, token in enumerate(within) if token in self._pads]
        return (rows[0], len(rows)) if rows else (0, 0)


def _positions(slot: KVSlot, tree: TokenTree) -> Tensor:
    """(3, tokens)."""
    positions = slot.positions
    if tree.keep + len(tree.token_ids) <= positions.shape[1] and tree.is_chain:
        chosen: Tensor = positions[:, tree.keep : tree.keep + len(tree.token_ids)]
        return chosen
    places = torch.tensor(tree.depths) + tree.keep
    behind = (places + slot.rope_delta).expand(3, -1)
    within = positions[:, places.clamp(max=positions.shape[1] - 1)]
    return torch.where(places < positions.shape[1], within, behind)


def _mask(tree: TokenTree) -> Tensor:
    """(tokens, places) float32, 0 where a token attends, -inf where not."""
    count, keep = len(tree.token_ids), tree.keep
    places = -(-(keep + count) // KEYS_STEP) * KEYS_STEP
    mask = torch.full((count, places), float("-inf"))
    mask[:, :keep] = 0.0
    mask[:, keep : keep + count].masked_fill_(torch.from_numpy(tree.attention_mask), 0.0)
    return mask


def _unsupported(config: Any) -> str:
    """Why a model of this configuration cannot be run; empty if it can."""
    text = config.get_text_config()
    if text.hidden_act != "silu":
        return f"hidden_act {text.hidden_act!r} of the language model is not silu"
    if text.rope_parameters.get("rope_type") not in ("default", "mrope"):
        return f"rope_type {text.rope_parameters.get('rope_type')!r} of the language model is not the default one"
    if getattr(text, "use_sliding_window", False):
        return "the language model uses a sliding window"
    return ""
