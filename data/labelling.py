"""Labelling: a served model labels files; what is labelled already is not asked again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.attribute import KINDS
from assay.client import AsyncClient, Judgement, NoServer
from assay.errors import AssayError
from data import labels
from data.labels import MODEL, SCORE, Label

SAVE_EVERY = 50
"""Files; what was labelled since the last save is lost if the program is killed."""


@dataclass(frozen=True, slots=True)
class LabelFailure:
    """A file that got no label."""

    file: str
    reason: str
    message: str


async def label(
    files: Sequence[str],
    root: Path,
    out: Path,
    server: str,
    form: str = "regular",
    at_once: int = 4,
    progress: Callable[[str], None] = lambda _: None,
) -> list[LabelFailure]:
    """Adds the labels of `files` (relative to `root`) to `out`, and returns those that failed.

    NoServer is raised, after what was labelled has been saved: it would fail for all others too.
    """
    labelled_so_far = _earlier(out)
    labelled = {file for file, item in labelled_so_far if item == SCORE}
    waiting = [file for file in files if file not in labelled]
    progress(f"{len(files) - len(waiting)} labelled already, {len(waiting)} to do")
    failures: list[LabelFailure] = []
    done = 0

    def take(place: int, outcome: Judgement | AssayError | OSError) -> None:
        nonlocal done
        file = waiting[place]
        if isinstance(outcome, NoServer):
            raise outcome
        if isinstance(outcome, Judgement):
            labelled_so_far.update({each.key: each for each in labels_of(file, outcome)})
        else:
            failures.append(LabelFailure(file, getattr(outcome, "reason", "UNREADABLE_FILE"), str(outcome)))
        done += 1
        if done % SAVE_EVERY == 0 or done == len(waiting):
            labels.write(labelled_so_far.values(), out)
            progress(f"{done} of {len(waiting)}, {len(failures)} failed")

    try:
        async with AsyncClient(server) as client:
            await client.score_many([root / file for file in waiting], concurrency=at_once, on_outcome=take, form=form)
    except* NoServer as gone:
        raise _first(gone) from None
    finally:
        labels.write(labelled_so_far.values(), out)
    return failures


def _earlier(out: Path) -> dict[tuple[str, str], Label]:
    return {each.key: each for each in labels.read(out)} if out.exists() else {}


def labels_of(file: str, judgement: Judgement) -> list[Label]:
    """One label per attribute, and the score."""
    model = judgement.model
    by = f"{MODEL} {model.name} {model.checkpoint_fingerprint} {model.preprocessing_fingerprint}"
    said = []
    for name, attribute in judgement.attributes.items():
        if KINDS[name].is_graded:
            probability = attribute.probabilities.get(attribute.grade)
            certainty = "" if probability is None else f"{probability:.4f}"
            said.append(Label(file, name, attribute.grade, certainty, "", "", by, "", ""))
        else:
            said.append(Label(file, name, attribute.text, "", "", "", by, "", ""))
    score = judgement.score
    scale = f"{score.scale.minimum:g}..{score.scale.maximum:g}"
    said.append(Label(file, SCORE, f"{score.value:.2f}", "", f"{score.standard_deviation:.3f}", scale, by, "", ""))
    return said


def _first(group: BaseExceptionGroup[NoServer]) -> NoServer:
    first = group.exceptions[0]
    return first if isinstance(first, NoServer) else _first(first)
