"""Worker: transformers' generate, greedy and constrained to the form, batched; in bfloat16 on a GPU if there is one,
else in float32.

`python -m benchmarks.engine.peers.transformers_generate CHECKPOINT THREADS`
"""

import sys
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from assay.decoding.grammar import END, ChoiceTokens, DigitTokens, ForcedTokens, Rule, grammar_of, longest_answer
from assay.engine.model.loading import LoadedModel, load_model
from assay.form import Free
from assay.qwen2_vl.prompt_tokens import prompt_tokens
from benchmarks.engine.batch import read_batch
from benchmarks.engine.peers.worker import Answer, Answers, in_groups, serve
from benchmarks.engine.workloads import Ask

Walk = Generator[list[int] | None, int, int | None]
"""Yields the tokens that are allowed (None: all), is sent the one chosen, and returns one that begins the next rule."""


def load() -> Answer:
    torch.set_num_threads(int(sys.argv[2]))
    checkpoint = load_model(Path(sys.argv[1]))
    if torch.cuda.is_available():
        torch.nn.Module.to(checkpoint.model, "cuda", torch.bfloat16)

    def answer(batch: dict[str, Any], in_flight: int) -> Answers:
        return in_groups(read_batch(batch), in_flight, partial(generate, checkpoint))

    return answer


@torch.inference_mode()
def generate(checkpoint: LoadedModel, asked: list[Ask]) -> list[str]:
    """Their answers. All prompts have one length, as all clips have one size."""
    prompts = [prompt_tokens(ask.clip, ask.conversation, checkpoint.layout, checkpoint.text) for ask in asked]
    rules = grammar_of(asked[0].form, checkpoint.text)
    ids = torch.tensor([prompt.ids for prompt in prompts], device=checkpoint.model.device)
    special, is_video = checkpoint.text.special, prompts[0].is_video
    kinds = (ids == special.image_pad).int() + 2 * (ids == special.video_pad).int()
    names = ("pixel_values_videos", "video_grid_thw") if is_video else ("pixel_values", "image_grid_thw")
    model: Any = checkpoint.model
    written = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        mm_token_type_ids=kinds,
        **{
            names[0]: torch.cat([torch.from_numpy(prompt.clip.pixel_values) for prompt in prompts]).to(ids.device),
            names[1]: torch.tensor([prompt.clip.grid_thw for prompt in prompts], device=ids.device),
        },
        do_sample=False,
        max_new_tokens=longest_answer(rules) + 1,
        prefix_allowed_tokens_fn=Constraint(checkpoint, rules, ids.shape[1], len(asked)),
    )
    return [_text(checkpoint, row) for row in written[:, ids.shape[1] :].tolist()]


class Constraint:
    """What may come next in each row of the batch."""

    def __init__(self, checkpoint: LoadedModel, rules: tuple[Rule, ...], prompt_length: int, rows: int) -> None:
        self._prompt_length = prompt_length
        self._everything = list(range(checkpoint.model.config.get_text_config().vocab_size))
        self._walks = [_Walk(checkpoint, rules) for _ in range(rows)]

    def __call__(self, row: int, ids: torch.Tensor) -> list[int]:
        walk = self._walks[row]
        if len(ids) > self._prompt_length:
            walk.take(int(ids[-1]))
        return self._everything if walk.allowed is None else walk.allowed


class _Walk:
    """Walks through a form, a token at a time."""

    def __init__(self, checkpoint: LoadedModel, rules: tuple[Rule, ...]) -> None:
        self._checkpoint, self._rules, self._end = checkpoint, rules, checkpoint.text.special.im_end
        self._steps = self._walk()
        self.allowed: list[int] | None = next(self._steps)

    def take(self, token: int) -> None:
        self.allowed = self._steps.send(token)

    def _walk(self) -> Walk:
        ahead: int | None = None  # A token that was taken and belongs to the next rule.
        for rule in self._rules:
            match rule:
                case ForcedTokens():
                    for place, token in enumerate(rule.tokens):
                        if place or token != ahead:
                            yield [token]
                    ahead = None
                case ChoiceTokens():
                    ahead = yield from self._choose(rule)
                case DigitTokens():
                    for token in rule.lead if ahead is None else ():
                        yield [token]
                    for place in range(rule.segment.integer_digits + rule.segment.decimals):
                        for token in rule.point if place == rule.segment.integer_digits else ():
                            yield [token]
                        yield list(rule.digits)
                case _:
                    ahead = yield from self._free(rule.segment)
        while True:
            yield [self._end]

    def _choose(self, rule: ChoiceTokens) -> Walk:
        node = rule.options
        while node.branches:
            ends = sorted(rule.follow or ()) if END in node.branches else []
            token = yield [*node.children, *ends]
            if token not in node.children:
                return token
            node = node.children[token]
        return None

    def _free(self, free: Free) -> Walk:
        written = b""
        for _ in range(free.max_tokens):
            token = yield None
            written += self._checkpoint.text.bytes_of(token)
            if any(stop.encode() in written for stop in free.stops):
                return token
        return None


def _text(checkpoint: LoadedModel, tokens: list[int]) -> str:
    written = b"".join(checkpoint.text.bytes_of(token) for token in tokens if token not in checkpoint.ends)
    return written.decode(errors="replace")


if __name__ == "__main__":
    serve(load)
