"""Feedback table -> composite weights."""

import json
from pathlib import Path

import numpy as np
import pytest

from assay.attribute import Attribute
from assay.composite import composite_score
from training.composite import Table, fit, read_table


def table(rows: int = 60, noise: float = 0.0) -> Table:
    """Feedback = 1 + 0.5 composition - distance of exposure, from what was rolled."""
    rng = np.random.default_rng(1)
    composition, exposure = rng.integers(1, 11, rows), rng.integers(1, 6, rows)
    features = np.stack([composition, exposure, abs(exposure - 3.0)], axis=1).astype(float)
    feedback = 3 + 0.5 * composition - abs(exposure - 3.0) + rng.normal(0, noise, rows)
    return Table(("composition", "exposure", "exposure.distance"), features, np.clip(feedback, 0, 10))


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_weights_that_made_the_feedback_are_found_again() -> None:
    weights = fit(table(), 0, 10).weights.weights
    assert weights == pytest.approx({"composition": 0.5, "exposure": 0.0, "exposure.distance": -1.0}, abs=1e-6)


def test_what_was_fitted_serves_as_it_was_fitted() -> None:
    served = composite_score(
        [Attribute("composition", "8"), Attribute("exposure", "overexposed")], fit(table(), 0, 10).weights
    )
    assert served is not None
    assert served.value == pytest.approx(3 + 4 - 2)


def test_the_error_is_that_of_rows_that_were_left_out() -> None:
    fitted = fit(table(rows=400, noise=0.5), 0, 10)
    assert fitted.error == pytest.approx(0.5, abs=0.05)


def test_feedback_that_has_nothing_to_do_with_the_grades_is_not_better_than_its_mean() -> None:
    rolled = table(rows=2000)
    shuffled = Table(rolled.names, rolled.features, np.random.default_rng(2).permutation(rolled.feedback))
    fitted = fit(shuffled, 0, 10)
    assert fitted.error > 0.95 * fitted.error_of_mean


def test_grades_may_be_words_or_ordinals(tmp_path: Path) -> None:
    words = written(tmp_path / "words.csv", "clarity,feedback", "very clear,8", "very blurry,2")
    numbers = written(tmp_path / "numbers.csv", "clarity,feedback", "4,8", "1,2")
    assert read_table(words).features.tolist() == read_table(numbers).features.tolist()


def test_files_are_found_in_what_the_command_line_printed(tmp_path: Path) -> None:
    feedback = written(tmp_path / "f.csv", "file,feedback", "b.jpg,2", "a.jpg,8")
    judged = [
        {"file": f"{name}.jpg", "attributes": {"clarity": {"grade": grade}}, "model": {"checkpoint_fingerprint": "f1"}}
        for name, grade in (("a", "very clear"), ("b", "very blurry"))
    ]
    read = read_table(feedback, written(tmp_path / "j.jsonl", *map(json.dumps, judged)))
    assert (read.features.ravel().tolist(), read.checkpoint_fingerprint) == ([1.0, 4.0], "f1")


@pytest.mark.parametrize(
    ("lines", "culprit"),
    [
        (("clarity,score", "1,2"), "feedback"),
        (("clarity,feedback", "1,2", "crisp,3"), "row 2: clarity is 'crisp'"),
        (("clarity,feedback", "5,2"), "1 to 4"),
        (("file,feedback", "a.jpg,2"), "--judgements"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_by_name(tmp_path: Path, lines: tuple[str, ...], culprit: str) -> None:
    with pytest.raises(ValueError, match=culprit):
        read_table(written(tmp_path / "t.csv", *lines))


def test_a_file_without_a_judgement_is_refused_by_name(tmp_path: Path) -> None:
    feedback = written(tmp_path / "f.csv", "file,feedback", "lost.jpg,2")
    with pytest.raises(ValueError, match=r"no judgement of 'lost\.jpg'"):
        read_table(feedback, written(tmp_path / "j.jsonl", '{"file": "lost.jpg", "error": {"reason": "BAD_MEDIA"}}'))


@pytest.mark.parametrize(("rows", "top", "why"), [(9, 10, "too few"), (60, 5, "the scale does not")])
def test_what_cannot_be_fitted_is_refused(rows: int, top: float, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        fit(table(rows), 0, top)
