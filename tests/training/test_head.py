"""The auxiliary head learns to tell which way a camera is turned."""

import numpy as np
import torch

from training import labels
from training.batches import Picture
from training.head import PooledHead, head_loss
from training.labels import Made

LOOKS = labels.looks(np.full((28, 28, 3), 120, np.uint8))


def turned(degrees: float) -> Picture:
    made = Made(3.0, 3.0, tilt_degrees=degrees)
    frames = np.zeros((1, 28, 28, 3), np.uint8)
    return Picture(frames, labels.truth(made, LOOKS), 0, "", made, LOOKS)


def test_a_turn_to_the_left_and_one_to_the_right_are_told_apart_after_some_steps() -> None:
    torch.manual_seed(0)
    head, pictures = PooledHead(16, 4), [turned(-6), turned(6)]
    tokens, teacher = torch.randn(2, 9, 16), torch.zeros(2, 4)
    optimizer = torch.optim.Adam(head.parameters(), 1e-2)
    for _ in range(200):
        loss, _ = head_loss(*head(tokens), pictures, teacher)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    left, right = head(tokens)[2].tolist()
    assert (left < -3, right > 3) == (True, True)


def test_a_wrong_turn_costs_more_than_the_right_one() -> None:
    head = PooledHead(16, 4)
    said, features, _ = head(torch.zeros(1, 9, 16))
    costs = [head_loss(said, features, torch.tensor([turn]), [turned(5)], torch.zeros(1, 4))[0] for turn in (-5.0, 5.0)]
    assert costs[0] > costs[1]
