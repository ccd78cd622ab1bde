"""TransformersRunner: transformers' own model, a turn at a time. Runs every Qwen2-VL, on every device."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from transformers import DynamicCache, Qwen2VLForConditionalGeneration

from assay.decoding.token_tree import Feed, Turn
from assay.engine.cache import Cache


class TransformersRunner:
    """Implements Runner. A tree is read path by path, a forward each."""

    most_at_once = 1
    reads_in_pieces = False
    reads_trees = False

    def __init__(self, model: Qwen2VLForConditionalGeneration) -> None:
        self._model = model

    warnings = ()
    """Each request is read by itself."""

    def settle(self) -> None:
        """Nothing has to be tried out."""

    def resume(self, cache: Cache, feed: Feed, *, is_alone: bool, waiting: Collection[bytes]) -> Feed:
        """All of it: nothing is kept."""
        return feed

    def is_ready(self, cache: Cache) -> bool:
        """Always."""
        return True

    def wait(self) -> None:
        """For nothing."""

    @property
    def counters(self) -> Mapping[str, int]:
        return {}

    @torch.inference_mode()
    def run(self, turns: Sequence[Turn]) -> list[torch.Tensor]:
        return [self._run(cache, feed) for cache, feed in turns]

    def _run(self, cache: Cache, feed: Feed) -> torch.Tensor:
        if feed.is_chain:
            return self._read(cache, feed.keep, feed.token_ids, feed.wanted)
        logits = []
        for place in feed.wanted:
            path = feed.path(place)
            tokens = tuple(feed.token_ids[each] for each in path)
            logits.append(self._read(cache, feed.keep, tokens, (len(tokens) - 1,)))
        return torch.cat(logits)

    def _read(self, cache: Cache, keep: int, token_ids: tuple[int, ...], wanted: tuple[int, ...]) -> torch.Tensor:
        """(wanted, vocabulary) float32 logits, on the CPU."""
        if cache.memory is None:
            cache.memory = DynamicCache()
        if keep < cache.length:
            cache.memory.crop(keep - cache.length)
        input_ids = torch.tensor([token_ids], device=self._model.device)
        if keep == 0:
            position_ids, vision = self._look(cache, input_ids)
        else:
            position_ids, vision = self._text_positions(cache, keep, len(token_ids)), {}
        output = self._model(
            input_ids=input_ids,
            position_ids=position_ids,
            past_key_values=cache.memory,
            use_cache=True,
            logits_to_keep=torch.tensor(wanted, device=self._model.device),
            **vision,
        )
        cache.length = keep + len(token_ids)
        logits: torch.Tensor = output.logits[0].float().cpu()
        return logits

    def _look(self, cache: Cache, input_ids: torch.Tensor) -> tuple[torch.Tensor, dict[str, Any]]:
        """(3, 1, tokens) positions of a prompt, and the clip as keyword arguments of the model."""
        clip, kind = cache.prompt.clip, "video" if cache.prompt.is_video else "image"
        pixels = torch.from_numpy(clip.pixel_values).to(self._model.device)
        grid = torch.tensor([clip.grid_thw], device=self._model.device)
        pads = {"image": self._model.config.image_token_id, "video": self._model.config.video_token_id}
        token_types = (input_ids == pads[kind]).int() * (2 if kind == "video" else 1)
        position_ids, rope_deltas = self._model.model.get_rope_index(
            input_ids, mm_token_type_ids=token_types, **{f"{kind}_grid_thw": grid}
        )
        cache.rope_delta = int(rope_deltas.item())
        name = "pixel_values_videos" if kind == "video" else "pixel_values"
        return position_ids, {name: pixels, f"{kind}_grid_thw": grid}

    def _text_positions(self, cache: Cache, keep: int, count: int) -> torch.Tensor:
        """(3, 1, count): text has the same position along time, height and width."""
        first = keep + cache.rope_delta
        return torch.arange(first, first + count, device=self._model.device).expand(3, 1, count)
