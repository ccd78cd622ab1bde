"""Inputs: a prompt with its clip as vLLM takes it, past vLLM's own preprocessing: the pixels are the engine's."""

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from vllm.inputs.engine import MultiModalInput, mm_input
from vllm.multimodal.inputs import MultiModalFieldConfig, MultiModalKwargsItems, PlaceholderRange

from assay.qwen2_vl.prompt_tokens import PromptTokens


class ClipInput:
    """The clip of one prompt. vLLM caches by its key what it computes of it: pixels, embeddings, prefixes."""

    def __init__(self, prompt: PromptTokens, pads: frozenset[int]) -> None:
        """`pads`: the ids of the image's and the video's placeholder."""
        self._kind = "video" if prompt.is_video else "image"
        self._clip = prompt.clip
        first = next(place for place, token in enumerate(prompt.ids) if token in pads)
        count = sum(token in pads for token in prompt.ids)
        self._placeholders = {self._kind: [PlaceholderRange(offset=first, length=count)]}
        # Frames, their size and the tenant are in each of the keys.
        self._hash = hashlib.blake2b(b"".join(prompt.clip.group_keys), digest_size=16).hexdigest()
        # In front of the clip nothing is of one tenant alone, but the salt goes with the first block.
        self._salt = hashlib.blake2b(prompt.clip.tenant.encode(), digest_size=16).hexdigest()

    def prompt(self, token_ids: Sequence[int], *, with_pixels: bool) -> MultiModalInput:
        """Tokens that begin with the prompt's. Without pixels vLLM must have had them before, and may have evicted
        them since: it then answers with a retryable error."""
        items: Any = MultiModalKwargsItems.from_hf_inputs(*self._pixels()) if with_pixels else {self._kind: [None]}
        hashes = {self._kind: [self._hash]}
        return mm_input(list(token_ids), items, hashes, self._placeholders, cache_salt=self._salt)

    def _pixels(self) -> tuple[Any, dict[str, MultiModalFieldConfig]]:
        """What transformers' processor would have returned, and how vLLM cuts it into items."""
        names = {"video": ("pixel_values_videos", "video_grid_thw"), "image": ("pixel_values", "image_grid_thw")}
        pixels, grid = names[self._kind]
        values = torch.from_numpy(self._clip.pixel_values)
        inputs = {pixels: values, grid: torch.tensor([self._clip.grid_thw])}
        sizes = torch.tensor([len(values)])
        fields = {
            pixels: MultiModalFieldConfig.flat_from_sizes(self._kind, sizes),
            grid: MultiModalFieldConfig.batched(self._kind, keep_on_cpu=True),
        }
        return inputs, fields
