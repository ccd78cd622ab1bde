import gc

import torch

from assay.engine.desk import Desk
from assay.engine.prefixes import Memory

PLACES = 16


def _desk(seats: int = 4) -> Desk:
    return Desk((2, 2, 1, 3), seats, PLACES, like=torch.zeros(0))


def _memory(tokens: int) -> Memory:
    keys_values = torch.zeros(2, 2, 1, PLACES, 3)
    keys_values[:, :, :, :tokens] = torch.randn(2, 2, 1, tokens, 3)
    return Memory((), torch.zeros(3, 0), 0, keys_values)


def _is_there(desk: Desk, seat: int, memory: Memory, count: int) -> bool:
    return torch.equal(desk.keys_values[:, :, seat, :, :count], memory.keys_values[:, :, :, :count])


def test_whoever_sits_down_brings_what_was_read() -> None:
    desk, memories = _desk(), [_memory(5), _memory(9)]
    seats = desk.sit(memories, [5, 9], 2)
    assert sorted(seats) == [0, 1]
    assert all(_is_there(desk, seat, memory, 5) for seat, memory in zip(seats, memories, strict=True))


def test_what_was_written_at_the_desk_is_taken_back() -> None:
    desk, memory = _desk(), _memory(5)
    (seat,) = desk.sit([memory], [5], 1)
    desk.keys_values[:, :, seat, :, 5:7] = 1.0
    desk.take_back(seat, memory, 5, 7)
    assert _is_there(desk, seat, memory, 7)
    assert bool((memory.keys_values[:, :, :, 5:7] == 1.0).all())


def test_whoever_stays_keeps_the_seat_and_brings_nothing_again() -> None:
    desk, first, second = _desk(), _memory(5), _memory(5)
    before = desk.sit([first, second], [5, 5], 2)
    desk.keys_values[:] = 7.0
    assert desk.sit([second, first], [5, 5], 2) == before[::-1]
    assert bool((desk.keys_values == 7.0).all())


def test_who_has_been_away_longest_gives_up_the_seat() -> None:
    desk, memories = _desk(2), [_memory(5) for _ in range(3)]
    (away,) = desk.sit(memories[:1], [5], 2)
    (here,) = desk.sit(memories[1:2], [5], 2)
    assert here != away
    assert desk.sit(memories[2:], [5], 2) == [away]


def test_a_seat_whose_sequence_is_gone_is_taken_first() -> None:
    desk, old, new = _desk(2), _memory(5), _memory(5)
    (stays,) = desk.sit([old], [5], 2)
    (left,) = desk.sit([new], [5], 2)
    del new
    gc.collect()
    assert desk.sit([_memory(5)], [5], 2) == [left] != [stays]


def test_what_was_written_elsewhere_is_brought_again() -> None:
    desk, memory = _desk(), _memory(8)
    (seat,) = desk.sit([memory], [8], 1)
    desk.leave(memory, 5)
    memory.keys_values[:, :, :, 5:8] = 2.0
    assert desk.sit([memory], [8], 1) == [seat]
    assert _is_there(desk, seat, memory, 8)


def test_a_seat_that_was_left_for_another_does_not_remember_how_it_was() -> None:
    desk, mover, other = _desk(), _memory(8), _memory(8)
    high, _ = desk.sit([other, mover], [8, 8], 2)
    (seat,) = desk.sit([mover], [8], 1)
    assert seat == high == 0
    mover.keys_values[:, :, :, 5:8] = desk.keys_values[:, :, 0, :, 5:8] = 3.0
    desk.sit([other], [8], 1)
    (back,) = desk.sit([mover, other], [8, 8], 2)[:1]
    assert _is_there(desk, back, mover, 8)
