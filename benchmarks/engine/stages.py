"""Stages: what our own forward is timed at on random weights of a shape, and what each cannot do without."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

from assay.decoding.token_tree import TokenTree
from assay.engine.kv_cache import SequenceState
from assay.engine.model_runner import ModelRunner
from assay.frame import Clip, Frame
from assay.qwen2_vl.patches import PatchLayout
from assay.qwen2_vl.prompt_tokens import PromptTokens
from training.recipe.shape import config_7b

TEXT_TOKENS = 90
"""Of a prompt, besides the clip's."""
ANSWER_TOKENS, ANSWER_FORWARDS, ROWS = 113, 16, 7
"""A reasoned answer: what it has, and the forwards that ours takes for it, each of so many tokens."""
CACHE_BYTES = 4 << 30
"""So that no picture is forgotten before it is read."""
_TEXT = 100
"""Some token."""


def config_tiny() -> Qwen2VLConfig:
    """Two layers each: to try the benchmark out."""
    ids: dict[str, Any] = {
        "image_token_id": 1001,
        "video_token_id": 1002,
        "vision_start_token_id": 1003,
        "vision_end_token_id": 1004,
    }
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}
    text = {
        "vocab_size": 1024,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "hidden_size": 64,
        "intermediate_size": 192,
        "num_hidden_layers": 2,
    }
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "rope_parameters": rope, "tie_word_embeddings": False}
    vision = {"depth": 2, "embed_dim": 64, "hidden_size": 64, "num_heads": 2, "mlp_ratio": 4, "patch_size": 14}
    return Qwen2VLConfig(text_config=text | heads, vision_config=vision, tie_word_embeddings=False, **ids)


SHAPES: dict[str, Callable[[], Qwen2VLConfig]] = {"7b": config_7b, "tiny": config_tiny}


@dataclass(frozen=True, slots=True)
class Stage:
    """Something that is timed, and what it cannot do without."""

    name: str
    what: str
    sums: float
    """Floating-point operations."""
    moved_bytes: float
    once: Callable[[], object]


def random_model(config: Qwen2VLConfig) -> Qwen2VLForConditionalGeneration:
    """In float32: 33 GB for 7b."""
    torch.manual_seed(0)
    model: Any = Qwen2VLForConditionalGeneration(config)
    made: Qwen2VLForConditionalGeneration = model.eval()
    return made


class ModelSums:
    """Floating-point operations that an answer cannot do without, two for each weight and row, and its attention."""

    def __init__(self, model: Qwen2VLForConditionalGeneration) -> None:
        config, inner = cast(Any, model.config), cast(Any, model)
        self._text, self._vision = config.get_text_config(), config.vision_config
        tower, layers = inner.model.visual, inner.model.language_model.layers
        self.tower_weights = _count(tower)
        # The merger works on patches four by four, so each of its weights is used once in four patches.
        merged = _count(tower.merger)
        self._per_patch = self.tower_weights - merged + merged / self._vision.spatial_merge_size**2
        self.layers_weights, self.head_weights = _count(layers), int(inner.lm_head.weight.numel())

    def tower(self, groups: int, patches: int) -> float:
        """Of so many groups of frames, each of so many patches."""
        attention = 4.0 * patches * patches * self._vision.embed_dim * self._vision.depth
        return float(groups * (2.0 * patches * self._per_patch + attention))

    def prefill(self, tokens: int) -> float:
        """Of a prompt, with the logits behind it."""
        return 2.0 * (tokens * self.layers_weights + self.head_weights) + self._attention(tokens * tokens / 2)

    def decode(self, sequences: int, tokens: int, context: int) -> float:
        """Of so many tokens at once in each sequence, with logits behind the last, every one with a context."""
        rows = sequences * tokens
        return 2.0 * (rows * self.layers_weights + sequences * self.head_weights) + self._attention(rows * context)

    def _attention(self, pairs: float) -> float:
        """Sums of queries times keys and weights times values, for so many pairs of tokens."""
        return float(4 * pairs * self._text.hidden_size * self._text.num_hidden_layers)


class Bench:
    """The stages of one shape."""

    def __init__(self, model: Qwen2VLForConditionalGeneration, side_px: int, frames: int) -> None:
        self.model, self.runner = model, ModelRunner(model, cache_bytes=CACHE_BYTES)
        self.runner.warm_up()
        self._side_px, self._frames, self._rng = side_px, frames, np.random.default_rng(0)
        config: Any = model.config
        self._text, self._vision, self._pad = config.get_text_config(), config.vision_config, config.image_token_id
        self._start, self._end = config.vision_start_token_id, config.vision_end_token_id
        self._layout = PatchLayout((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), self._vision.patch_size)
        self._sums = ModelSums(model)
        self._size = next(model.parameters()).element_size()

    def vision(self) -> Stage:
        """New pictures, from bytes on the host to embeddings."""
        patches = self._prompt().clip.grid_thw
        sums = self._sums.tower(patches[0], int(np.prod(patches[1:])))
        moved = self._sums.tower_weights * self._size + self._frames * self._side_px**2 * 3
        return Stage("vision", f"{int(np.prod(patches))} patches", sums, moved, self._look)

    def prefill(self, times: int) -> Stage:
        """A prompt whose clip has been encoded, to be read so many times."""
        prompt = self._prompt()
        caches = iter([self._encoded(prompt) for _ in range(times)])
        count = len(prompt.ids)
        moved = self._weights_bytes() + count * self._place_bytes()
        return Stage(
            "prefill",
            f"{count} tokens",
            self._sums.prefill(count),
            moved,
            lambda: self.runner.run([(next(caches), TokenTree(0, prompt.ids))]),
        )

    def decode(self, sequences: int, rows: int) -> Stage:
        """So many answers, of each so many tokens at once."""
        prompt = self._prompt()
        caches = [self._encoded(prompt) for _ in range(sequences)]
        for cache in caches:
            self.runner.run([(cache, TokenTree(0, prompt.ids))])
        turns = [(cache, TokenTree(len(prompt.ids), (_TEXT,) * rows)) for cache in caches]
        context = len(prompt.ids) + rows
        sums = self._sums.decode(sequences, rows, context)
        moved = self._weights_bytes() + sequences * context * self._place_bytes()
        return Stage("decode", f"{sequences} x {rows} tokens", sums, moved, lambda: self.runner.run(turns))

    def answer(self) -> float:
        """Seconds of a reasoned answer: picture, prompt, and as many short forwards as ours takes."""
        began, prompt = time.perf_counter(), self._prompt()
        cache = SequenceState(prompt)
        feed = self.runner.begin(cache, TokenTree(0, prompt.ids), waiting=())
        self.runner.run([(cache, feed)])
        for forward in range(ANSWER_FORWARDS):
            self.runner.run([(cache, TokenTree(len(prompt.ids) + forward * ROWS, (_TEXT,) * ROWS))])
        return time.perf_counter() - began

    @torch.inference_mode()
    def generated(self, tokens: int = ANSWER_TOKENS) -> float:
        """Seconds of the same by transformers' generate, which writes every token."""
        began, prompt = time.perf_counter(), self._prompt()
        model: Any = self.model
        ids = torch.tensor([prompt.ids], device=model.device)
        model.generate(
            input_ids=ids,
            mm_token_type_ids=(ids == self._pad).int(),
            pixel_values=torch.from_numpy(prompt.clip.pixel_values).to(model.device, model.dtype),
            image_grid_thw=torch.tensor([prompt.clip.grid_thw], device=model.device),
            attention_mask=torch.ones_like(ids),
            **{"do_sample": False, "min_new_tokens": tokens, "max_new_tokens": tokens, "pad_token_id": 0},
        )
        return time.perf_counter() - began

    def _prompt(self) -> PromptTokens:
        """With a picture that is in no cache."""
        size = (self._frames, self._side_px, self._side_px, 3)
        pixels = self._rng.integers(0, 256, size, dtype=np.uint8)
        clip = Clip(tuple(Frame(frame, float(place)) for place, frame in enumerate(pixels)), is_video=self._frames > 1)
        patches = self._layout.patches(clip)
        image = (self._start, *[self._pad] * self._layout.tokens(patches.grid_thw), self._end)
        return PromptTokens((*image, *[_TEXT] * TEXT_TOKENS), patches, is_video=self._frames > 1)

    def _look(self) -> None:
        with torch.inference_mode():
            clip = self._prompt().clip
            self.runner.encoder_cache.embeddings(clip, clip.group_keys, {})

    def _encoded(self, prompt: PromptTokens) -> SequenceState:
        cache = SequenceState(prompt)
        with torch.inference_mode():
            self.runner.encoder_cache.embeddings(prompt.clip, prompt.clip.group_keys, {})
        return cache

    def _weights_bytes(self) -> float:
        return float(self._size * (self._sums.layers_weights + self._sums.head_weights))

    def _place_bytes(self) -> float:
        head_dim = self._text.hidden_size // self._text.num_attention_heads
        return float(2 * self._size * self._text.num_hidden_layers * self._text.num_key_value_heads * head_dim)


def _count(module: Any) -> int:
    return sum(int(values.numel()) for values in module.parameters())
