"""The auxiliary head learns which way a camera is turned, and what the teacher sees at each token."""

from dataclasses import replace

import numpy as np
import torch

from training import labels
from training.batches import Picture
from training.distillation import TeacherTargets
from training.head import Head, head_loss
from training.labels import Made
from training.taps import CHANNELS

STATISTICS = labels.pixel_statistics(np.full((28, 28, 3), 120, np.uint8))


def turned(degrees: float) -> Picture:
    made = Made(3.0, 3.0, tilt_degrees=degrees)
    frames = np.zeros((1, 28, 28, 3), np.uint8)
    return Picture(frames, labels.truth(made, STATISTICS), 0, "", made, STATISTICS)


def test_a_turn_to_the_left_and_one_to_the_right_are_distinguished_after_some_steps() -> None:
    torch.manual_seed(0)
    head, pictures = Head(16), [turned(-6), turned(6)]
    tokens = torch.randn(2, 9, 16)
    optimizer = torch.optim.Adam(head.parameters(), 1e-2)
    for _ in range(200):
        loss, _ = head_loss(head(tokens), pictures, None)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    left, right = head(tokens).turn.tolist()
    assert (left < -3, right > 3) == (True, True)


def test_a_wrong_turn_costs_more_than_the_right_one() -> None:
    said = Head(16)(torch.zeros(1, 9, 16))
    wrong, right = (head_loss(replace(said, turn=torch.tensor([d])), [turned(5)], None)[0] for d in (-5.0, 5.0))
    assert wrong > right


def test_the_teacher_is_asked_at_the_tokens_that_were_computed() -> None:
    head, visible = Head(16), torch.tensor([1, 3])
    tokens = torch.randn(1, 2, 16)
    grids = torch.zeros(1, 4, CHANNELS)
    grids[:, visible] = head(tokens).taps.detach()
    teacher_targets = TeacherTargets(grids.half(), torch.zeros(1, CHANNELS), torch.zeros(1, 2))
    _, parts = head_loss(head(tokens), [turned(0)], teacher_targets, visible)
    assert parts["dense"] < 1e-4


def test_of_a_photo_as_it_is_the_teacher_s_means_are_enough() -> None:
    said = Head(16)(torch.randn(1, 4, 16))
    teacher_targets = TeacherTargets(None, said.taps.mean(1).detach(), said.judged.detach())
    _, parts = head_loss(said, [turned(0)], teacher_targets)
    assert (parts["mean"], parts["judged"], "dense" in parts) == (0.0, 0.0, False)
