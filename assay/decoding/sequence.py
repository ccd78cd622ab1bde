"""Sequence: one answer in the making."""

from collections.abc import Hashable
from dataclasses import dataclass, field

from assay.decoding.constrained import choose
from assay.decoding.counting import count
from assay.decoding.grammar import ChoiceTokens, DigitTokens, ForcedTokens, FreeTokens, Rule, grammar_of, longest_answer
from assay.decoding.lookahead import Making, TokenRow
from assay.decoding.speculation import Drafts
from assay.decoding.stop_strings import FreeText
from assay.engine.cache import Cache
from assay.engine.model.loading import Checkpoint
from assay.errors import InvalidRequest
from assay.form import Form, Free
from assay.frame import Clip
from assay.generator import Conversation, Finished, Wrote
from assay.qwen2_vl.prompt_tokens import prompt_tokens


@dataclass(slots=True)
class Sequence:
    """Walks through a form. It never touches the model: it yields Feeds and is told logits."""

    checkpoint: Checkpoint
    cache: Cache
    row: TokenRow
    rules: tuple[Rule, ...]
    drafts: Drafts
    asked: Hashable
    """What was asked but for the clip: answers to it are drafts of one another."""
    is_cut: bool = field(default=False, init=False)
    """True once a free text has ended without a stop."""

    @classmethod
    def begin(
        cls,
        checkpoint: Checkpoint,
        clip: Clip,
        conversation: Conversation,
        form: Form,
        drafts: Drafts | None = None,
    ) -> "Sequence":
        """InvalidRequest if the clip does not fit the patches, the form the tokens, or all of it the model.

        What is found in the drafts is read ahead, and the answer becomes one; without any nothing is.
        """
        prompt = prompt_tokens(clip, conversation, checkpoint.layout, checkpoint.text)
        rules = grammar_of(form, checkpoint.text)
        longest = longest_answer(rules)
        if len(prompt.ids) + longest > checkpoint.max_tokens:
            raise InvalidRequest(
                f"the prompt has {len(prompt.ids)} tokens and the answer may have {longest}; "
                f"together they must not exceed {checkpoint.max_tokens}"
            )
        asked, drafts = (conversation, form, clip.is_video), Drafts() if drafts is None else drafts
        row = TokenRow(prompt.ids, drafts.find(asked, prompt.clip.group_keys))
        return cls(checkpoint, Cache(prompt), row, rules, drafts, asked)

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
        self.drafts.learn(self.asked, self.cache.prompt.clip.group_keys, self.row.as_draft)
        yield Finished(
            reason="cut" if self.is_cut else "complete",
            checkpoint_fingerprint=self.checkpoint.fingerprint,
            prompt_tokens=len(self.cache.prompt.ids),
            answer_tokens=len(self.row.answer),
        )

    def _write_free(self, free: Free) -> Making:
        """Greedy, until a stop; without one until the end of the turn or the limit."""
        start, written, text = len(self.row), FreeText(free.stops), self.checkpoint.text
        phrases, tokens = self.drafts.phrases(self.asked, free.name), list[int]()
        for _ in range(free.max_tokens):
            logits = yield from self.row.look(phrases.guess(tokens))
            token = int(logits.argmax())
            if token in self.checkpoint.ends:
                break
            self.row.push([token])
            tokens.append(token)
            if piece := written.feed(text.bytes_of(token)):
                yield Wrote(free.name, piece)
            if written.is_stopped:
                phrases.learn(tokens)
                whole, cut = written.kept()
                self.row.back_to(start + whole)
                self.row.push(text.encode_bytes(cut))
                return
        if piece := written.close():
            yield Wrote(free.name, piece)
        self.is_cut = True
