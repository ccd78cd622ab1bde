"""Clip -> early score, and with the transcript -> final score: the step that this service owns."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from assay.attribute import Attribute
from assay.checkpoint import FormName, ModelSpec
from assay.composite import CompositeWeights, composite_score
from assay.digits import score_from_digits
from assay.errors import CheckpointError, InvalidRequest, ModelUnavailable, UnreadableVerdict
from assay.form import Form, Literal
from assay.frame import Clip
from assay.generator import Conversation, Finished, Generator, NumberWritten
from assay.pooling import reconcile
from assay.prompt import SCORE, answer_form, question
from assay.rpc.model import is_wanted
from assay.rpc.usage import usage_meter
from assay.score import Score
from assay.transcript import Transcript


@dataclass(frozen=True, slots=True)
class EarlyScore:
    """The direct score, before any reasoning."""

    score: Score


@dataclass(frozen=True, slots=True)
class FinalScore:
    """The last word."""

    score: Score
    direct: Score
    reasoned: Score | None
    """None where no reasoning was asked for."""
    composite: Score | None = None
    """None where it was not asked for, or where an attribute that weighs was not graded."""


@dataclass(frozen=True, slots=True)
class Composite:
    """What a composite score is made of."""

    weights: CompositeWeights
    grades: Callable[[], Awaitable[Sequence[Attribute]]]
    """Awaited after the transcript."""


def refuse_unusable(checkpoint: ModelSpec) -> None:
    """CheckpointError if a form of the checkpoint cannot be asked; for the start of the program."""
    for form_name in ("direct", *checkpoint.form):
        answer_form(checkpoint, form_name)


async def score_clip(
    generator: Generator,
    checkpoint: ModelSpec,
    form_name: FormName,
    clip: Clip,
    transcript: Callable[[], Awaitable[Transcript | None]],
    tenant: str = "",
    composite: Composite | None = None,
) -> AsyncGenerator[EarlyScore | FinalScore, None]:
    """The early score first, the final one last. `transcript` is awaited between them; None if the form has none."""
    conversation = Conversation(question(checkpoint, "direct", clip.is_video), tenant=tenant)
    direct, fingerprint = await _ask(generator, checkpoint, clip, conversation, answer_form(checkpoint, "direct"))
    yield EarlyScore(direct)
    written = await transcript()
    if written is None:
        yield FinalScore(direct, direct, None)
        return
    form = answer_form(checkpoint, form_name)
    _refuse_unfit(written, form, fingerprint)
    weighted = await _composite(composite, fingerprint) if composite else None
    conversation = Conversation(question(checkpoint, form_name, clip.is_video), answered=written.texts, tenant=tenant)
    reasoned, _ = await _ask(generator, checkpoint, clip, conversation, form.starting_at(SCORE))
    yield FinalScore(reconcile(direct, reasoned, checkpoint.score.direct_weight), direct, reasoned, weighted)


async def _ask(
    generator: Generator, checkpoint: ModelSpec, clip: Clip, conversation: Conversation, form: Form
) -> tuple[Score, str]:
    """The score that the model writes, and the fingerprint of the checkpoint that wrote it."""
    score, started = None, time.perf_counter()
    # Closing the generator cancels the generation in the engine, whatever ends this block.
    async with aclosing(generator.generate(clip, conversation, form)) as events:
        async for event in events:
            if isinstance(event, NumberWritten) and event.segment == SCORE:
                score = score_from_digits(event, checkpoint.scale, checkpoint.score.expectation)
            if isinstance(event, Finished):
                seconds = time.perf_counter() - started
                usage_meter().add_generation(event.prompt_tokens, event.answer_tokens, seconds)
                if score is None:
                    raise UnreadableVerdict("The model's answer holds no score; try another answer form.")
                return score, event.checkpoint_fingerprint
    raise ModelUnavailable("The model stopped in the middle of its answer; try again.")


async def _composite(composite: Composite, fingerprint: str) -> Score | None:
    refuse_unfit_weights(composite.weights, fingerprint)
    return composite_score(await composite.grades(), composite.weights)


def refuse_unfit_weights(weights: CompositeWeights, fingerprint: str) -> None:
    """CheckpointError if the weights were fitted to another checkpoint's grades than is served, in whatever numbers."""
    fitted_on = weights.checkpoint_fingerprint
    if not is_wanted(fingerprint, fitted_on.partition("-")[0]):
        raise CheckpointError(
            f"the tenant's composite weights were fitted to the grades of checkpoint {fitted_on} and {fingerprint} is "
            "served; fit them again"
        )


def _refuse_unfit(written: Transcript, form: Form, fingerprint: str) -> None:
    if not written.is_complete:
        raise UnreadableVerdict("The model's reasoning was cut before it came to a score; try the regular form.")
    if written.checkpoint_fingerprint != fingerprint:
        raise CheckpointError(
            f"attribute extraction serves checkpoint {written.checkpoint_fingerprint or '(none)'} and scoring serves "
            f"{fingerprint}; let both use one Triton model"
        )
    last = form.before(SCORE).segments[-1]
    if isinstance(last, Literal) and not written.text.endswith(last.text):
        raise InvalidRequest(
            f"the transcript must end with {last.text!r}, where the number begins", field="transcript.texts"
        )
