"""Stage 1: the paper's thirteen questions about attributes, answered with parts of the regular form.

Attributes (9), Levels (3) and Mix (1), RealQA section 3.1; the questions stand in training/recipe/wording.toml.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from assay.attribute import KINDS
from assay.checkpoint import ModelSpec
from assay.form import Form, Literal, Segment
from assay.prompt import REASON, answer_form
from training.recipe.example import stage1_question

_LEVELS: Mapping[str, Sequence[str]] = {
    "high": (f"composition{REASON}", "composition", f"eye_catching{REASON}", "eye_catching"),
    "middle": ("subject", "subject_integrity", "subject_clutter", "background", "background_clutter", "level_shot"),
    "low": ("clarity", "exposure", "saturation"),
}
_BEFORE: Mapping[str, Sequence[str]] = {
    "composition": (f"composition{REASON}",),
    "eye_catching": (f"eye_catching{REASON}",),
    "subject_integrity": ("subject",),
    "subject_clutter": ("subject",),
    "background_clutter": ("background",),
}
ATTRIBUTES = tuple(name for name, kind in KINDS.items() if kind.is_graded)
TASKS: Mapping[str, Sequence[str]] = {
    "mix": [name for names in _LEVELS.values() for name in names],
    **_LEVELS,
    **{name: (*_BEFORE.get(name, ()), name) for name in ATTRIBUTES},
}
"""Question -> names of the segments that answer it, in order."""


def question(task: str, is_video: bool) -> str:
    """KeyError for a task that is none of TASKS."""
    return stage1_question(task, is_video)


def answer(checkpoint: ModelSpec, task: str) -> Form:
    """The named segments of the regular form, each behind its own heading."""
    segments = list(answer_form(checkpoint, "regular"))
    places = {segment.name: place for place, segment in enumerate(segments) if not isinstance(segment, Literal)}
    chosen: list[Segment] = []
    for name in TASKS[task]:
        heading, segment = segments[places[name] - 1], segments[places[name]]
        assert isinstance(heading, Literal)
        chosen += [heading if chosen else Literal(heading.text.lstrip("\n")), segment]
    return Form(tuple(chosen))


def drawn(rng: np.random.Generator) -> list[str]:
    """What one picture is asked: everything, or one level and two attributes. Always as many questions."""
    if rng.random() < 0.35:
        return ["mix", str(rng.choice(ATTRIBUTES)), str(rng.choice(ATTRIBUTES))]
    first, second = rng.choice(ATTRIBUTES, 2, replace=False)
    return [str(rng.choice(list(_LEVELS))), str(first), str(second)]
