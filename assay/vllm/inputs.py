"""Inputs: a prompt's clip as vLLM takes it, past vLLM's own preprocessing: the pixels are the engine's."""

import hashlib
from functools import cached_property

import torch
from vllm.multimodal.inputs import (
    MultiModalFeatureSpec,
    MultiModalFieldConfig,
    MultiModalKwargsItems,
    PlaceholderRange,
)

from assay.qwen2_vl.prompt_tokens import PromptTokens


class ClipInput:
    """The clip of one prompt. vLLM caches by its key what it computes of it: embeddings, prefixes."""

    def __init__(self, prompt: PromptTokens, pads: frozenset[int]) -> None:
        """`pads`: the ids of the image's and the video's placeholder."""
        self._kind = "video" if prompt.is_video else "image"
        self._clip = prompt.clip
        first = next(place for place, token in enumerate(prompt.ids) if token in pads)
        self._placeholder = PlaceholderRange(offset=first, length=sum(token in pads for token in prompt.ids))
        # Frames, their size and the tenant are in each of the keys.
        self._key = hashlib.blake2b(b"".join(prompt.clip.group_keys), digest_size=16).hexdigest()
        # In front of the clip nothing is of one tenant alone, but the salt goes with the first block.
        self.salt = hashlib.blake2b(prompt.clip.tenant.encode(), digest_size=16).hexdigest()

    @property
    def tokens(self) -> int:
        """That the clip takes in the prompt."""
        return int(self._placeholder.length)

    @cached_property
    def feature(self) -> MultiModalFeatureSpec:
        """What transformers' processor would have returned, as vLLM takes it."""
        names = {"video": ("pixel_values_videos", "video_grid_thw"), "image": ("pixel_values", "image_grid_thw")}
        pixels, grid = names[self._kind]
        values = torch.from_numpy(self._clip.pixel_values)
        inputs = {pixels: values, grid: torch.tensor([self._clip.grid_thw])}
        fields = {
            pixels: MultiModalFieldConfig.flat_from_sizes(self._kind, torch.tensor([len(values)])),
            grid: MultiModalFieldConfig.batched(self._kind, keep_on_cpu=True),
        }
        (item,) = MultiModalKwargsItems.from_hf_inputs(inputs, fields)[self._kind]
        return MultiModalFeatureSpec(item, self._kind, self._key, self._placeholder, self._key)
