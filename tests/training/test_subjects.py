"""The subject is named where the teacher is sure, and left open where it is not."""

import numpy as np

from training.subjects import UNSURE, subject

A_PUG = 254


def test_a_sure_teacher_names_the_subject() -> None:
    logits = np.zeros(1000, np.float32)
    logits[A_PUG] = 20
    assert subject(logits, np.random.default_rng(0)) == " a dog"


def test_an_unsure_teacher_leaves_it_open() -> None:
    # Dogs are 118 of the 1,000 classes: too few to be believed where all are equally probable.
    assert subject(np.zeros(1000, np.float32), np.random.default_rng(0)) in UNSURE
