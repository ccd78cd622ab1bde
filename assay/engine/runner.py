"""Runner: the model. It appends tokens to a cache and says what might come next."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import Qwen2VLForConditionalGeneration

from assay.engine.cache import Cache


@dataclass(frozen=True, slots=True)
class Feed:
    """One forward: forget all but the first `keep` tokens, then read these."""

    keep: int
    token_ids: tuple[int, ...]


class Runner:
    """Runs one Feed at a time on one device."""

    def __init__(self, model: Qwen2VLForConditionalGeneration) -> None:
        self._model = model

    @torch.inference_mode()
    def run(self, cache: Cache, feed: Feed) -> torch.Tensor:
        """Logits of the token after the last one fed: (vocabulary,) float32, on the CPU."""
        cache.keep(feed.keep)
        input_ids = torch.tensor([feed.token_ids], device=self._model.device)
        if cache.length == 0:
            position_ids, vision = self._look(cache, input_ids)
        else:
            position_ids, vision = self._text_positions(cache, len(feed.token_ids)), {}
        output = self._model(
            input_ids=input_ids,
            position_ids=position_ids,
            past_key_values=cache.keys_values,
            use_cache=True,
            logits_to_keep=1,
            **vision,
        )
        logits: torch.Tensor = output.logits[0, -1].float().cpu()
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

    def _text_positions(self, cache: Cache, count: int) -> torch.Tensor:
        """(3, 1, count): text has the same position along time, height and width."""
        first = cache.length + cache.rope_delta
        return torch.arange(first, first + count, device=self._model.device).expand(3, 1, count)
