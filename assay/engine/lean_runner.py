"""LeanRunner: our own forward, for several sequences at once. What it needs of transformers is the loaded weights."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import Qwen2VLForConditionalGeneration

from assay.engine.cache import Cache
from assay.engine.decoder import Decoder, Rows
from assay.engine.prompt_tokens import PromptTokens
from assay.engine.rotary import prompt_positions
from assay.engine.runner import Feed, Turn
from assay.engine.steady import KEYS_STEP, is_steady
from assay.engine.vision import Vision

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Memory:
    """What this runner keeps in a Cache."""

    keys_values: Tensor
    """(layers, 2, key heads, places, head_dim)."""
    positions: Tensor
    """(3, prompt tokens)."""
    clip: Tensor | None = None
    """(clip tokens, width) until the last of them has been read."""


class LeanRunner:
    """Implements Runner."""

    most_at_once = 0
    reads_in_pieces = True

    def __init__(self, model: Qwen2VLForConditionalGeneration) -> None:
        """ValueError says why this model cannot be run here."""
        if trouble := unsupported(model.config):
            raise ValueError(trouble)
        self._decoder = Decoder(model)
        self._vision = Vision(model.model.visual)
        self._pads = (int(model.config.image_token_id), int(model.config.video_token_id))
        config: Any = model.config
        self._merge = int(config.vision_config.spatial_merge_size)

    @torch.inference_mode()
    def settle(self) -> None:
        """Say so if this machine's products are such that a last bit may hang on who is beside."""
        if self._decoder.device.type == "cpu" and not is_steady([*self._decoder.weights, *self._vision.weights]):
            _log.warning("the matrix products of this machine are not steady: batch-mates may change last bits")

    @torch.inference_mode()
    def run(self, turns: Sequence[Turn]) -> list[Tensor]:
        """For each turn (places wanted, vocabulary) float32 logits, on the CPU."""
        for cache, feed in turns:
            self._begin(cache, feed)
        embedded = torch.cat([self._embedded(cache, feed) for cache, feed in turns])
        positions = torch.cat([self._positions(cache, feed) for cache, feed in turns], dim=1)
        rows = [Rows(cache.memory.keys_values, feed.keep, self._mask(cache, feed)) for cache, feed in turns]
        hidden = self._decoder.read(embedded, positions, rows)
        first, wanted = 0, []
        for cache, feed in turns:
            wanted += [first + place for place in feed.wanted]
            first += len(feed.token_ids)
            cache.length = feed.keep + len(feed.token_ids)
        logits = self._decoder.logits(hidden[wanted])
        return list(torch.split(logits, [len(feed.wanted) for _, feed in turns]))

    def _begin(self, cache: Cache, feed: Feed) -> None:
        """Room for what is fed; positions and embeddings of the clip with the first feed."""
        needed = feed.keep + len(feed.token_ids)
        if cache.memory is None:
            positions = self._prompt_positions(cache.prompt)
            cache.rope_delta = int(positions.max()) + 1 - positions.shape[1]
            cache.memory = Memory(self._decoder.new_memory(needed), positions, self._look(cache.prompt))
        held = cache.memory.keys_values
        if needed > held.shape[3]:
            cache.memory.keys_values = self._decoder.new_memory(needed)
            cache.memory.keys_values[:, :, :, : feed.keep] = held[:, :, :, : feed.keep]

    def _look(self, prompt: PromptTokens) -> Tensor:
        """(clip tokens, width)."""
        time, rows, columns = prompt.clip.grid_thw
        pixels = torch.from_numpy(prompt.clip.pixel_values).to(self._decoder.device)
        return self._vision.look(pixels.view(time, rows * columns, -1), rows, columns).flatten(0, 1)

    def _prompt_positions(self, prompt: PromptTokens) -> Tensor:
        start = min(prompt.ids.index(pad) for pad in self._pads if pad in prompt.ids)
        return prompt_positions(start, prompt.clip.grid_thw, self._merge, len(prompt.ids)).to(self._decoder.device)

    def _embedded(self, cache: Cache, feed: Feed) -> Tensor:
        """(tokens, width): rows of the embedding, and the clip's own where its placeholders stand."""
        ids = torch.tensor(feed.token_ids, device=self._decoder.device)
        embedded: Tensor = self._decoder.embedding[ids]
        in_prompt = min(max(len(cache.prompt.ids) - feed.keep, 0), len(ids))
        is_clip = (ids == self._pads[0]) | (ids == self._pads[1])
        is_clip[in_prompt:] = False
        count = int(is_clip.sum())
        if count:
            seen = sum(token in self._pads for token in cache.prompt.ids[: feed.keep])
            embedded[is_clip] = cache.memory.clip[seen : seen + count]
        return embedded

    def _positions(self, cache: Cache, feed: Feed) -> Tensor:
        """(3, tokens)."""
        positions = cache.memory.positions
        if feed.keep + len(feed.token_ids) <= positions.shape[1] and feed.is_chain:
            chosen: Tensor = positions[:, feed.keep : feed.keep + len(feed.token_ids)]
            return chosen
        places = torch.tensor(feed.depths, device=positions.device) + feed.keep
        behind = (places + cache.rope_delta).expand(3, -1)
        within = positions[:, places.clamp(max=positions.shape[1] - 1)]
        return torch.where(places < positions.shape[1], within, behind)

    def _mask(self, cache: Cache, feed: Feed) -> Tensor:
        """(tokens, places) float32, 0 where a token sees, -inf where not."""
        count, keep = len(feed.token_ids), feed.keep
        places = -(-(keep + count) // KEYS_STEP) * KEYS_STEP
        mask = torch.full((count, places), float("-inf"))
        mask[:, :keep] = 0.0
        if feed.is_chain:
            mask[:, keep : keep + count].fill_(0.0).masked_fill_(_later(count), float("-inf"))
        else:
            for place in range(count):
                mask[place, [keep + each for each in feed.path(place)]] = 0.0
        return mask.to(self._decoder.device)


def _later(count: int) -> Tensor:
    return torch.ones(count, count, dtype=torch.bool).triu_(1)


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
