"""Sequence: one answer in the making. It walks through a form and never touches the model: it yields TokenTrees and is
sent what the model answers."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import partial

from assay.decoding.constrained import choose, write_number
from assay.decoding.grammar import (
    ChoiceTokens,
    DigitTokens,
    ForcedTokens,
    FreeTokens,
    Rule,
    grammar_of,
    longest_answer,
)
from assay.decoding.guess import guess_rest
from assay.decoding.lookahead import Decoding, Guess, TokenHistory
from assay.decoding.speculation import Speculation
from assay.decoding.stop_strings import StopStrings
from assay.decoding.token_tree import GreedyToken
from assay.errors import InvalidRequest
from assay.form import Form, Free
from assay.frame import Clip
from assay.generator import Conversation, Finished, Wrote
from assay.qwen2_vl.model_info import ModelInfo
from assay.qwen2_vl.prompt_tokens import PromptTokens, prompt_tokens


@dataclass(slots=True)
class Sequence:
    """A prompt, and the form that its answer is to have."""

    model: ModelInfo
    prompt: PromptTokens
    history: TokenHistory
    rules: tuple[Rule, ...]
    speculation: Speculation
    question: Hashable
    """What was asked but for the clip: answers to it are drafts of one another."""
    is_cut: bool = field(default=False, init=False)
    """True once a free text has ended without a stop."""

    @classmethod
    def begin(
        cls,
        model: ModelInfo,
        clip: Clip,
        conversation: Conversation,
        form: Form,
        speculation: Speculation | None = None,
    ) -> "Sequence":
        """InvalidRequest if the clip does not fit the patches, the form the tokens, or all of it the model.

        With speculation (for an engine that holds logits) drafts are read ahead, and the answer becomes one.
        """
        prompt = prompt_tokens(clip, conversation, model.layout, model.text)
        rules = grammar_of(form, model.text)
        longest = longest_answer(rules)
        if len(prompt.ids) + longest > model.max_tokens:
            raise InvalidRequest(
                f"the prompt has {len(prompt.ids)} tokens and the answer may have {longest}; "
                f"together they must not exceed {model.max_tokens}"
            )
        question = (conversation, form, clip.is_video)
        speculation = Speculation() if speculation is None else speculation
        history = TokenHistory(prompt.ids, speculation.find(question, prompt.clip.group_keys))
        return cls(model, prompt, history, rules, speculation, question)

    def write(self) -> Decoding:
        """The whole answer; Finished last."""
        for place, rule in enumerate(self.rules):
            match rule:
                case ForcedTokens():
                    self.history.append(rule.tokens)
                    yield Wrote("", rule.segment.text)
                case ChoiceTokens():
                    yield from self._choose(rule, place)
                case DigitTokens():
                    yield from write_number(self.history, rule)
                case FreeTokens():
                    yield from self._write_free(rule.segment, place)
        self.speculation.learn(self.question, self.prompt.clip.group_keys, self.history.as_draft)
        yield Finished(
            reason="cut" if self.is_cut else "complete",
            checkpoint_fingerprint=self.model.fingerprint,
            prompt_tokens=len(self.prompt.ids),
            answer_tokens=len(self.history.answer),
        )

    def _choose(self, choice: ChoiceTokens, place: int) -> Decoding:
        start, (forced, _) = len(self.history.answer), choice.options.forced()
        yield from choose(self.history, choice, partial(self._guess, place, forced))
        self.speculation.usual(self.question, choice.segment.name).chosen.append(self.history.answer[start:])

    def _guess(self, place: int, so_far: list[int]) -> Guess:
        """How the answer goes on that has written these tokens of the rule in this place."""
        usual, lookup = self.speculation.usual, self.speculation.lookup
        return guess_rest(self.rules[place:], so_far, partial(usual, self.question), partial(lookup, self.question))

    def _write_free(self, free: Free, place: int) -> Decoding:
        """Greedy, until a stop; without one until the end of the turn or the limit."""
        start, written, text = len(self.history), StopStrings(free.stops), self.model.text
        lookup, tokens = self.speculation.lookup(self.question, free.name), list[int]()
        for left in range(free.max_tokens, 0, -1):
            query = GreedyToken(left, free.stops)
            answer = yield from self.history.ask(query, partial(self._guess, place, tokens))
            token = answer.likeliest()
            if token in self.model.ends:
                break
            self.history.append([token])
            tokens.append(token)
            if piece := written.feed(text.bytes_of(token)):
                yield Wrote(free.name, piece)
            if written.is_stopped:
                lookup.learn(tokens)
                whole, cut = written.before_stop()
                self.history.truncate(start + whole)
                self.history.append(text.encode_bytes(cut))
                return
        if piece := written.close():
            yield Wrote(free.name, piece)
        self.is_cut = True
