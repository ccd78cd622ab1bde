"""Rows hold the answer as it is served, with distributions where something is graded or counted."""

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from assay.checkpoint import FormName, ModelSpec
from tests.training.conftest import picture_of
from training import claims, wording
from training.rows import Writer
from training.wording import FRAMING, bucket_of


@pytest.mark.parametrize("form", ["direct", "regular", "natural"])
def test_every_soft_target_is_a_distribution_that_holds_what_was_written(writer: Writer, form: FormName) -> None:
    branch = writer.branch(picture_of(), form, np.random.default_rng(3))
    written = {place: branch.ids[place] for place in branch.soft}
    assert all(sum(s.values()) == pytest.approx(1, abs=1e-4) and written[p] in s for p, s in branch.soft.items())


def test_the_first_digit_is_expected_at_the_score(writer: Writer) -> None:
    picture = picture_of(mos=3.3)
    branch = writer.branch(picture, "direct", np.random.default_rng(0))
    shares = branch.soft[branch.first_digit]
    mean = sum((digit + 0.5) * shares[token] for digit, token in enumerate(writer.digits))
    assert mean == pytest.approx(picture.truth.score, abs=0.1)


def test_the_direct_answer_reads_as_its_template(writer: Writer, tokenizer_file: Path, checkpoint: ModelSpec) -> None:
    branch = writer.branch(picture_of(), "direct", np.random.default_rng(0))
    text = Tokenizer.from_file(str(tokenizer_file)).decode(list(branch.ids), skip_special_tokens=False)
    begin = checkpoint.form["direct"].answer.split("{")[0]
    assert text.split("assistant\n")[1].startswith(begin + " ")


def test_a_picture_is_asked_for_attributes_first_and_for_scores_later(writer: Writer) -> None:
    first, second = (writer.branches(picture_of(), stage, np.random.default_rng(0)) for stage in (1, 2))
    assert ({b.first_digit for b in first}, sum(b.first_digit > 0 for b in second)) == ({-1}, 3)


def test_without_prose_a_picture_is_asked_for_the_other_two_answers(writer: Writer) -> None:
    both = [writer.branches(picture_of(), 2, np.random.default_rng(0), prose) for prose in (True, False)]
    assert [len(branches) for branches in both] == [4, 3]


def test_the_grade_of_the_level_shot_weighs_more_than_that_of_clarity(writer: Writer) -> None:
    branch = writer.branch(picture_of(), "regular", np.random.default_rng(0))
    places = dict(branch.choices)
    most = {name: max(branch.weights[places[name] : places[name] + 3]) for name in ("level_shot", "clarity")}
    assert most["level_shot"] > most["clarity"]


@pytest.mark.parametrize("seed", range(12))
def test_a_grade_never_denies_the_reason_in_front_of_it(writer: Writer, tokenizer_file: Path, seed: int) -> None:
    branch = writer.branch(picture_of(), "regular", np.random.default_rng(seed))
    text = Tokenizer.from_file(str(tokenizer_file)).decode(list(branch.ids))
    grade = text.split("1.2 Composition Score: ")[1].split("\n")[0]
    assert f" {FRAMING[bucket_of(grade)]} framing with" in text


def test_what_decides_a_claim_is_learnt_more_than_the_words_around_it(writer: Writer) -> None:
    branch = writer.branch(picture_of(), "regular", np.random.default_rng(0))
    measured = claims.measured(picture_of().frames[0])["light"]
    ways = [writer.tokens(wording.said(claims.LIGHT, value)) for value in claims.LIGHT.words]
    way = writer.tokens(wording.said(claims.LIGHT, measured))
    start = next(i for i in range(len(branch.ids)) if branch.ids[i : i + len(way)] == way)
    decided = next(i for i in range(len(way)) if len({other[i] for other in ways if other[:i] == way[:i]}) > 1)
    weights = branch.weights[start : start + len(way)]
    assert weights[decided] == max(weights) > 5 * min(weights)


def test_a_video_is_asked_about_as_a_video(writer: Writer, tokenizer_file: Path) -> None:
    branch = writer.branch(picture_of(frames=4), "direct", np.random.default_rng(0))
    assert "of this video" in Tokenizer.from_file(str(tokenizer_file)).decode(list(branch.ids))


def test_both_forms_say_the_same_of_the_pixels(writer: Writer, tokenizer_file: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    measured = [
        tokenizer.decode(list(writer.branch(picture_of(), form, np.random.default_rng(0)).ids)).split(" framing with")[
            1
        ]
        for form in ("regular", "natural")
    ]
    assert measured[0].split("\n")[0] == measured[1].split(";")[0]


def test_what_ends_a_free_text_is_always_learnt(writer: Writer) -> None:
    branches = [writer.branch(picture_of(), "regular", np.random.default_rng(seed)) for seed in range(6)]
    (end,) = writer.tokens("\n")
    ends = [w for b in branches for token, w in zip(b.ids, b.weights, strict=True) if token == end and w]
    assert len(ends) >= 4 * len(branches)
