"""The subject is named where the teacher is sure, and left open where it is not."""

import numpy as np

from training.subjects import UNSURE, subject

A_PUG, A_TABBY = 254, 281


def test_a_sure_teacher_names_the_subject() -> None:
    logits = np.zeros(1000, np.float32)
    logits[A_PUG] = 20
    assert subject(logits) == " a dog"


def test_an_unsure_teacher_leaves_it_open() -> None:
    # Dogs are 118 of the 1,000 classes: too few to be believed where all are equally probable.
    assert subject(np.zeros(1000, np.float32)) == UNSURE


def test_two_breeds_of_which_neither_is_sure_are_still_a_dog() -> None:
    logits = np.zeros(1000, np.float32)
    logits[[A_PUG, A_PUG + 1]] = 20
    assert subject(logits) == " a dog"


def test_a_dog_that_may_be_a_cat_is_an_animal() -> None:
    logits = np.zeros(1000, np.float32)
    logits[[A_PUG, A_TABBY]] = 20
    assert subject(logits) == " an animal"
