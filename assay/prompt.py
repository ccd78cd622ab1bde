"""Model specification + form name -> what is asked, and the form in which it is answered."""

from string import Formatter

from assay.attribute import KINDS
from assay.checkpoint import AnswerTemplate, DigitRules, FormName, FreeRules, GradeCalibration, ModelSpec
from assay.errors import CheckpointError
from assay.form import Choice, Digits, Form, Free, Literal, Segment

SCORE = "score"
"""Name of the digits segment in every form."""
REASON = "_reason"
"""What is added to an attribute's name to name the free text that gives its reason."""
FREE_NAMES = ("subject", "background", "reasoning", *(f"{name}{REASON}" for name in KINDS))


def question(checkpoint: ModelSpec, form_name: FormName, is_video: bool) -> str:
    """The user's turn. CheckpointError if the checkpoint has no such form."""
    template = _template(checkpoint, form_name)
    return template.question_video if is_video else template.question_image


def answer_form(checkpoint: ModelSpec, form_name: FormName) -> Form:
    """The template as segments, in order. CheckpointError names what means nothing, or a missing {score}."""
    template = _template(checkpoint, form_name)
    for attribute in checkpoint.grade_quantile:
        if attribute not in KINDS or not KINDS[attribute].is_graded:
            raise CheckpointError(f"checkpoint {checkpoint.name!r}: grade_quantile: {attribute!r} is not graded")
    _refuse_unknown_grades(checkpoint)
    segments: list[Segment] = []
    for text, name, *_ in Formatter().parse(template.answer):
        if text:
            segments.append(Literal(text))
        if name is not None:
            segments.append(_segment(checkpoint, form_name, name))
    form = Form(tuple(segments))
    if not any(isinstance(segment, Digits) for segment in form):
        raise CheckpointError(f"form {form_name!r} of checkpoint {checkpoint.name!r} has no {{{SCORE}}}")
    return form


def grade_of_option(checkpoint: ModelSpec, attribute_name: str, option: str) -> str:
    """The grade that an option of the attribute's choice stands for."""
    return next(grade for grade in KINDS[attribute_name].grades if _option(checkpoint, attribute_name, grade) == option)


def _refuse_unknown_grades(checkpoint: ModelSpec) -> None:
    for attribute, calibration in checkpoint.grade_calibration.items():
        known = KINDS[attribute].grades if attribute in KINDS else ()
        strange = sorted(set(calibration.bias) - set(known))
        if not known or strange:
            what = f"has no grade {strange[0]!r}" if known else "is not graded"
            raise CheckpointError(f"checkpoint {checkpoint.name!r}: grade_calibration: {attribute!r} {what}")


def _template(checkpoint: ModelSpec, form_name: FormName) -> AnswerTemplate:
    if form_name not in checkpoint.form:
        known = ", ".join(checkpoint.form)
        raise CheckpointError(f"checkpoint {checkpoint.name!r} has no form {form_name!r}; it has {known}")
    return checkpoint.form[form_name]


def _segment(checkpoint: ModelSpec, form_name: FormName, name: str) -> Segment:
    if name == SCORE:
        rules = checkpoint.digits.get(name, DigitRules())
        lead = checkpoint.form[form_name].score_lead
        return Digits(name, rules.integer_digits, rules.decimals, lead, rules.branch_probability)
    if name in KINDS and KINDS[name].is_graded:
        options = tuple(_option(checkpoint, name, grade) for grade in KINDS[name].grades)
        calibration = checkpoint.grade_calibration.get(name, GradeCalibration())
        biases = tuple(calibration.bias.get(grade, 0.0) for grade in KINDS[name].grades) if calibration.bias else ()
        quantile = checkpoint.grade_quantile.get(name, 0.5)
        return Choice(name, options, checkpoint.grade_reading, quantile, calibration.temperature, biases)
    if name in checkpoint.words:
        return _words(checkpoint, name)
    if name in FREE_NAMES:
        free = checkpoint.free.get(name, FreeRules())
        return Free(name, free.max_tokens, free.stops)
    raise CheckpointError(f"form {form_name!r} of checkpoint {checkpoint.name!r}: {{{name}}} means nothing")


def _words(checkpoint: ModelSpec, name: str) -> Choice:
    rules = checkpoint.words[name]
    strange = sorted(set(rules.bias) - set(rules.options))
    if name not in FREE_NAMES or strange:
        what = f"has no option {strange[0]!r}" if strange else "is no free text"
        raise CheckpointError(f"checkpoint {checkpoint.name!r}: words: {name!r} {what}")
    return Choice(name, rules.options, biases=tuple(rules.bias.get(option, 0.0) for option in rules.options))


def _option(checkpoint: ModelSpec, attribute_name: str, grade: str) -> str:
    return checkpoint.wording.get(attribute_name, {}).get(grade, f" {grade}")
