"""The engine's answers, made the slowest way: for each token the whole sequence goes through transformers."""

from collections.abc import Callable
from collections.abc import Sequence as Row
from dataclasses import dataclass, field

import torch

from assay.decoding.sequence import Sequence
from assay.decoding.token_tree import TokenTree
from assay.engine.kv_cache import SequenceState
from assay.engine.model.loading import LoadedModel
from assay.engine.model_runner import Logits, ModelRunner
from assay.form import Choice, Digits, Form, Free, Literal, Segment
from assay.frame import Clip
from assay.generator import Chose, Conversation, Event, NumberWritten, Wrote
from assay.qwen2_vl.prompt_tokens import PromptTokens, prompt_tokens
from tests.assay.engine.transformers_runner import TransformersRunner

Run = Callable[[SequenceState, TokenTree], torch.Tensor]
"""Logits (positions, vocabulary)."""


def engine_events(
    checkpoint: LoadedModel, clip: Clip, conversation: Conversation, form: Form, run: Run | None = None
) -> tuple[list[Event], tuple[int, ...], list[TokenTree]]:
    """Events, answer tokens and forwards of the engine, without its thread; `run` stands in for the model."""
    sequence, run = Sequence.begin(checkpoint, clip, conversation, form), run or run_of(ModelRunner(checkpoint.model))
    decoding, state, answers = sequence.write(), SequenceState(sequence.prompt), None
    events: list[Event] = []
    trees: list[TokenTree] = []
    while True:
        try:
            item = decoding.send(answers)
        except StopIteration:
            return events, sequence.history.answer, trees
        answers = None
        if isinstance(item, TokenTree):
            trees.append(item)
            answers = [Logits(row) for row in run(state, item)]
        else:
            events.append(item)


def run_of(runner: ModelRunner | TransformersRunner) -> Run:
    """A step at a time."""
    return lambda state, tree: runner.run([(state, tree)])[0]


def texts(events: Row[Event]) -> list[tuple[str, str]]:
    """(segment, text) with the pieces of one segment joined."""
    joined: list[tuple[str, str]] = []
    for event in events:
        if isinstance(event, Wrote):
            if joined and event.segment and joined[-1][0] == event.segment:
                joined[-1] = (event.segment, joined[-1][1] + event.text)
            else:
                joined.append((event.segment, event.text))
    return joined


def model_inputs(checkpoint: LoadedModel, prompt: PromptTokens, answer: Row[int] = ()) -> dict[str, torch.Tensor]:
    """Keyword arguments for transformers' model, as its processor would make them."""
    ids = torch.tensor([[*prompt.ids, *answer]])
    special, grid = checkpoint.text.special, torch.tensor([prompt.clip.grid_thw])
    pixels = torch.from_numpy(prompt.clip.pixel_values)
    kinds = (ids == special.image_pad).int() + 2 * (ids == special.video_pad).int()
    names = ("pixel_values_videos", "video_grid_thw") if prompt.is_video else ("pixel_values", "image_grid_thw")
    return {"input_ids": ids, "mm_token_type_ids": kinds, names[0]: pixels, names[1]: grid}


@dataclass
class Oracle:
    """Writes one answer."""

    checkpoint: LoadedModel
    prompt: PromptTokens
    answer: list[int] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    is_cut: bool = False

    @classmethod
    def write(cls, checkpoint: LoadedModel, clip: Clip, conversation: Conversation, form: Form) -> "Oracle":
        oracle = cls(checkpoint, prompt_tokens(clip, conversation, checkpoint.layout, checkpoint.text))
        for segment, following in zip(form.segments, [*form.segments[1:], None], strict=True):
            oracle._write(segment, following)
        return oracle

    def logits(self, further: Row[int] = ()) -> torch.Tensor:
        with torch.inference_mode():
            inputs = model_inputs(self.checkpoint, self.prompt, [*self.answer, *further])
            return self.checkpoint.model(**inputs, use_cache=False).logits[0, -1].double()  # type: ignore[no-any-return]

    def _write(self, segment: Segment, following: Segment | None) -> None:
        text = self.checkpoint.text
        match segment:
            case Literal():
                self.answer += text.encode(segment.text)
                self.events.append(Wrote("", segment.text))
            case Choice():
                self._choose(segment, following)
            case Digits():
                self._count(segment)
            case Free():
                self._write_free(segment)

    def _choose(self, choice: Choice, following: Segment | None) -> None:
        tokens = {option: tuple(self.checkpoint.text.encode(option)) for option in choice.options}
        conditionals: dict[tuple[int, ...], dict[int, float]] = {}
        for row in tokens.values():
            for length in range(len(row) + 1):
                if row[:length] not in conditionals:
                    conditionals[row[:length]] = self._conditional(row[:length], list(tokens.values()), following)
        probabilities = {}
        for option, row in tokens.items():
            probabilities[option] = 1.0
            for length, token in enumerate([*row, -1]):
                probabilities[option] *= conditionals[row[:length]][token]
        if choice.reading == "median":
            below = [sum(list(probabilities.values())[: place + 1]) for place in range(len(tokens))]
            chosen = choice.options[[each >= choice.quantile for each in below].index(True)]
        else:
            greedy: tuple[int, ...] = ()
            while (best := max(conditionals[greedy], key=lambda token: conditionals[greedy][token])) != -1:
                greedy = (*greedy, best)
            chosen = next(option for option, row in tokens.items() if row == greedy)
        self.answer += tokens[chosen]
        self.events += [Wrote(choice.name, chosen), Chose(choice.name, chosen, probabilities)]

    def _conditional(
        self, prefix: tuple[int, ...], rows: list[tuple[int, ...]], following: Segment | None
    ) -> dict[int, float]:
        """Next token, -1 for "the option ends", to its probability among those that the options allow."""
        on = sorted({row[len(prefix)] for row in rows if row[: len(prefix)] == prefix and len(row) > len(prefix)})
        if not on:
            return {-1: 1.0}
        p = self.logits(prefix).softmax(0)
        masses = {token: float(p[token]) for token in on}
        if prefix in rows:
            ends = self._first_tokens(following)
            rest = [token for token in range(len(p)) if token not in on and (ends is None or token in ends)]
            masses[-1] = float(p[rest].sum())
        return {token: mass / sum(masses.values()) for token, mass in masses.items()}

    def _first_tokens(self, segment: Segment | None) -> set[int] | None:
        text = self.checkpoint.text
        match segment:
            case Literal():
                return {text.encode(segment.text)[0]}
            case Choice():
                return {text.encode(option)[0] for option in segment.options}
            case Digits():
                return {text.encode(segment.lead)[0]} if segment.lead else set(text.digits)
            case Free():
                return None
        return {text.special.im_end}

    def _count(self, digits: Digits) -> None:
        text, total = self.checkpoint.text, digits.integer_digits + digits.decimals
        self.answer += text.encode(digits.lead)

        def spelled(prefix: str) -> str:
            point = "." if digits.decimals and len(prefix) >= digits.integer_digits else ""
            return prefix[: digits.integer_digits] + point + prefix[digits.integer_digits :]

        by_prefix: dict[str, tuple[float, ...]] = {}
        joints, written = {"": 1.0}, ""
        for _ in range(total):
            longer: dict[str, float] = {}
            for prefix, joint in joints.items():
                tens = self.logits(text.encode(spelled(prefix)))[list(text.digits)].softmax(0).tolist()
                by_prefix[prefix] = tuple(tens)
                for digit, p in enumerate(tens):
                    is_written = prefix == written and p == max(tens)
                    if is_written or joint * p >= digits.branch_probability:
                        longer[f"{prefix}{digit}"] = joint * p
            written += str(by_prefix[written].index(max(by_prefix[written])))
            joints = longer
        self.answer += text.encode(spelled(written))
        self.events += [
            Wrote(digits.name, digits.lead + spelled(written)),
            NumberWritten(digits.name, spelled(written), by_prefix),
        ]

    def _write_free(self, free: Free) -> None:
        text, row, written = self.checkpoint.text, list[int](), b""
        for _ in range(free.max_tokens):
            token = int(self.logits(row).argmax())
            if token in self.checkpoint.ends:
                break
            row.append(token)
            written = b"".join(map(text.bytes_of, row))
            if any(stop.encode() in written for stop in free.stops):
                break
        places = [place for stop in free.stops if (place := written.find(stop.encode())) >= 0]
        self.is_cut |= not places
        if places:
            end = min(places)
            while len(b"".join(map(text.bytes_of, row))) > end:
                row.pop()
            row += text.encode_bytes(written[len(b"".join(map(text.bytes_of, row))) : end])
            written = written[:end]
        self.answer += row
        if written:
            self.events.append(Wrote(free.name, written.decode(errors="replace")))
