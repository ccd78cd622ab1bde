"""Sequence: one answer in the making."""

from dataclasses import dataclass, field

from assay.engine.cache import Cache
from assay.engine.checkpoint import Checkpoint
from assay.engine.choosing import choose
from assay.engine.counting import count
from assay.engine.free_text import FreeText
from assay.engine.grammar import ChoiceTokens, DigitTokens, ForcedTokens, FreeTokens, Rule, grammar_of, longest_answer
from assay.engine.prompt_tokens import prompt_tokens
from assay.engine.token_row import Making, TokenRow
from assay.errors import InvalidRequest
from assay.form import Form, Free
from assay.frame import Clip
from assay.generator import Conversation, Finished, Wrote


@dataclass(slots=True)
class Sequence:
    """Walks through a form. It never touches the model: it yields Feeds and is told logits."""

    checkpoint: Checkpoint
    cache: Cache
    row: TokenRow
    rules: tuple[Rule, ...]
    is_cut: bool = field(default=False, init=False)
    """True once a free text has ended without a stop."""

    @classmethod
    def begin(cls, checkpoint: Checkpoint, clip: Clip, conversation: Conversation, form: Form) -> "Sequence":
        """InvalidRequest if the clip does not fit the patches, the form the tokens, or all of it the model."""
        prompt = prompt_tokens(clip, conversation, checkpoint.layout, checkpoint.text)
        rules = grammar_of(form, checkpoint.text)
        longest = longest_answer(rules)
        if len(prompt.ids) + longest > checkpoint.max_tokens:
            raise InvalidRequest(
                f"the prompt has {len(prompt.ids)} tokens and the answer may have {longest}; "
                f"together they must not exceed {checkpoint.max_tokens}"
            )
        return cls(checkpoint, Cache(prompt), TokenRow(prompt.ids), rules)

    def write(self) -> Making:
        """The whole answer; Finished last."""
        for rule in self.rules:
            match rule:
                case ForcedTokens():
                    self.row.push(rule.tokens)
                    yield Wrote("", rule.segment.text)
                case ChoiceTokens():
                    yield from choose(self.row, rule)
                case DigitTokens():
                    yield from count(self.row, rule)
                case FreeTokens():
                    yield from self._write_free(rule.segment)
        yield Finished(
            reason="cut" if self.is_cut else "complete",
            checkpoint_fingerprint=self.checkpoint.fingerprint,
            prompt_tokens=len(self.cache.prompt.ids),
            answer_tokens=len(self.row.answer),
        )

    def _write_free(self, free: Free) -> Making:
        """Greedy, until a stop; without one until the end of the turn or the limit."""
        start, written, text = len(self.row), FreeText(free.stops), self.checkpoint.text
        for _ in range(free.max_tokens):
            logits = yield from self.row.look()
            token = int(logits.argmax())
            if token in self.checkpoint.ends:
                break
            self.row.push([token])
            if piece := written.feed(text.bytes_of(token)):
                yield Wrote(free.name, piece)
            if written.is_stopped:
                whole, cut = written.kept()
                self.row.back_to(start + whole)
                self.row.push(text.encode_bytes(cut))
                return
        if piece := written.close():
            yield Wrote(free.name, piece)
        self.is_cut = True
