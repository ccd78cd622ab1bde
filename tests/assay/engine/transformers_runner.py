"""TransformersRunner: transformers' own model, a step at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch
from transformers import DynamicCache, Qwen2VLForConditionalGeneration

from assay.decoding.token_tree import TokenTree
from assay.engine.kv_cache import ScheduledStep, SequenceState
from assay.qwen2_vl.prompt_tokens import PromptTokens


class TransformersRunner:
    """The oracle of ModelRunner.run. A tree is read path by path, a forward each."""

    def __init__(self, model: Qwen2VLForConditionalGeneration) -> None:
        self._model = model
        self._read_states: WeakKeyDictionary[SequenceState, _ReadState] = WeakKeyDictionary()

    @torch.inference_mode()
    def run(self, steps: Sequence[ScheduledStep]) -> list[torch.Tensor]:
        return [self._run(state, tree) for state, tree in steps]

    def _run(self, state: SequenceState, tree: TokenTree) -> torch.Tensor:
        if tree.is_chain:
            return self._read(state, tree.keep, tree.token_ids, tree.asked_positions)
        logits = []
        for place in tree.asked_positions:
            tokens = tuple(tree.token_ids[each] for each in tree.path(place))
            logits.append(self._read(state, tree.keep, tokens, (len(tokens) - 1,)))
        return torch.cat(logits)

    def _read(
        self, state: SequenceState, keep: int, token_ids: tuple[int, ...], positions: tuple[int, ...]
    ) -> torch.Tensor:
        """(positions, vocabulary) float32 logits."""
        read = self._read_states.setdefault(state, _ReadState())
        if keep < read.length:
            read.cache.crop(keep - read.length)
        input_ids = torch.tensor([token_ids])
        if keep == 0:
            position_ids, vision = self._prompt(state.prompt, read, input_ids)
        else:
            position_ids, vision = self._text_positions(keep + read.rope_delta, len(token_ids)), {}
        output = self._model(
            input_ids=input_ids,
            position_ids=position_ids,
            past_key_values=read.cache,
            use_cache=True,
            logits_to_keep=torch.tensor(positions),
            **vision,
        )
        read.length = keep + len(token_ids)
        logits: torch.Tensor = output.logits[0].float()
        return logits

    def _prompt(
        self, prompt: PromptTokens, read: "_ReadState", input_ids: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        """(3, 1, tokens) positions of a prompt, and the clip as keyword arguments of the model."""
        clip, kind = prompt.clip, "video" if prompt.is_video else "image"
        pixels = torch.from_numpy(clip.pixel_values)
        grid = torch.tensor([clip.grid_thw])
        pads = {"image": self._model.config.image_token_id, "video": self._model.config.video_token_id}
        token_types = (input_ids == pads[kind]).int() * (2 if kind == "video" else 1)
        position_ids, rope_deltas = self._model.model.get_rope_index(
            input_ids, mm_token_type_ids=token_types, **{f"{kind}_grid_thw": grid}
        )
        read.rope_delta = int(rope_deltas.item())
        name = "pixel_values_videos" if kind == "video" else "pixel_values"
        return position_ids, {name: pixels, f"{kind}_grid_thw": grid}

    def _text_positions(self, first: int, count: int) -> torch.Tensor:
        """(3, 1, count): text has the same position along time, height and width."""
        return torch.arange(first, first + count).expand(3, 1, count)


@dataclass(slots=True, eq=False)
class _ReadState:
    """What transformers holds of one sequence."""

    cache: DynamicCache = field(default_factory=DynamicCache)
    length: int = 0
    rope_delta: int = 0
    """Position of a token behind the clip, less its place in the sequence."""
