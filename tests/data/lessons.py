"""Lessons: made-up questions and answers about one made-up picture, one for every task of both stages.

The questions are the paper's (stage 1: section 3.1 in its English translation; stage 2: its figure of Q1, Q2, Q3; Q1 is
a reconstruction). The answers follow its figures as far as they are printed; the rest of the wording is ours.
"""

from pathlib import Path

from assay.attribute import KINDS
from data.conversations import ConversationRow

_QUESTIONS = {
    "composition": "Please analyze the composition score (1-10) of this image and give the reason",
    "eye_catching": "Please analyze the eye-catching score (1-10) of this image and give the reason",
    "subject_integrity": "What is the subject? Is the subject complete and well-defined?",
    "subject_clutter": "What is the subject? Does it look cluttered?",
    "background_clutter": "What is the background? Does it look cluttered?",
    "level_shot": "Is this image a level shot?",
    "clarity": "How is the clarity?",
    "exposure": "How is the exposure?",
    "saturation": "How is the saturation?",
}
_MIX = "Please analyze and directly give the high-level, middle-level and low-level aesthetic attributes of this image"
_LEVEL = "Briefly evaluate the {}-level attributes of this image"
_LEVELS = {
    "high": ("composition", "eye_catching"),
    "middle": ("subject_integrity", "subject_clutter", "background_clutter", "level_shot"),
    "low": ("clarity", "exposure", "saturation"),
}
_NAMES = {"eye_catching": "Eye-Catching", "clarity": "Image Clarity"}
_SUBJECT, _BACKGROUND = "shapes", "coloured patches"


def grades(quality: float) -> dict[str, str]:
    """Every graded attribute: better the higher the quality; dark and pale where it is low."""
    found = {}
    for name, kind in KINDS.items():
        if kind.is_graded:
            best = (len(kind.grades) - 1) // (2 if kind.is_bipolar else 1)
            found[name] = kind.grades[round(quality * best)]
    return found


def rows(path: Path, quality: float, score: float) -> list[ConversationRow]:
    """The 13 tasks of stage 1 and the three of stage 2."""
    found = grades(quality)
    reported = {name: _reported(name, grade) for name, grade in found.items()}
    levels = {level: "\n".join(reported[name] for name in names) for level, names in _LEVELS.items()}
    everything = "\n".join(levels.values())
    stage_1 = [ConversationRow(path, _MIX, everything, "mix", None)]
    stage_1 += [ConversationRow(path, _LEVEL.format(level), text, level, None) for level, text in levels.items()]
    stage_1 += [ConversationRow(path, question, reported[name], name, None) for name, question in _QUESTIONS.items()]
    asked = "Rate the aesthetics and quality of this image step by step"
    natural = f"The composition earns {found['composition']}, and the picture is {found['clarity']}."
    ending = f"The final score is <{round(score, 2)}>."
    return [
        *stage_1,
        direct(path, score),
        ConversationRow(path, f"{asked}.", f"{natural} {ending}", "natural", round(score, 2)),
        ConversationRow(
            path, f" {asked} with the regular form.", f"{everything}\n{ending}", "regular", round(score, 2)
        ),
    ]


def direct(path: Path, score: float) -> ConversationRow:
    """Q1 and R1; the number without trailing zeros but for one decimal, as the authors write it."""
    question = "Rate the quality of this image. The score ranges from 1 to 10."
    return ConversationRow(
        path, question, f"The quality score of this image is {round(score, 2)}.", "direct", round(score, 2)
    )


def _reported(name: str, grade: str) -> str:
    title = _NAMES.get(name, name.replace("_", " ").title())
    if name in _LEVELS["high"]:
        return f"Reason for {title} Score: the shapes are drawn {'well' if int(grade) > 5 else 'badly'}.\n" + (
            f"{title} Score: {grade}"
        )
    if name.startswith("subject"):
        return f"Subject: {_SUBJECT}\n{title}: {grade}"
    if name.startswith("background"):
        return f"Background: {_BACKGROUND}\n{title}: {grade}"
    return f"{title}: {grade}"
