import fcntl
import os
import random

import pytest

from gateway.decode.buffer import SpoolBudget, UploadBuffer

DATA = random.Random(0).randbytes(5000)


def filled(budget, size, memory_bytes=100, file_bytes=1000):
    buffer = UploadBuffer(budget, memory_bytes, file_bytes)
    for start in range(0, size, 70):
        buffer.append(DATA[start : min(start + 70, size)])
    return buffer


def drained(buffer, size=33):
    data = b""
    while piece := buffer.read(len(data), size):
        data += piece
    return data


@pytest.mark.parametrize("size", [0, 1, 70, 100, 140, 1000, 1101, 5000])
def test_bytes_come_out_as_they_came_in_wherever_they_waited(size):
    assert drained(filled(SpoolBudget(10_000), size)) == DATA[:size]


def test_a_byte_at_a_time_is_as_good_as_all_at_once():
    buffer = UploadBuffer(SpoolBudget(10_000), 100, 1000)
    for value in DATA[:500]:
        buffer.append(bytes([value]))
    assert drained(buffer) == DATA[:500]


def test_what_is_held_can_be_read_again_from_the_first_byte():
    buffer = filled(SpoolBudget(10_000), 900)
    assert (drained(buffer), buffer.is_whole) == (drained(buffer), True)


def test_what_cannot_be_held_is_let_go_when_it_was_read():
    budget = SpoolBudget(10_000)
    buffer = filled(budget, 5000)
    assert not buffer.can_keep(1)
    drained(buffer)
    assert (buffer.is_whole, budget.left_bytes) == (False, 10_000)
    with pytest.raises(ValueError, match="let go"):
        buffer.read(0, 1)


def test_all_uploads_together_keep_no_more_than_the_budget():
    budget = SpoolBudget(1000)
    first, second = filled(budget, 900), filled(budget, 900)
    assert budget.left_bytes >= 0
    assert (drained(first), drained(second)) == (DATA[:900], DATA[:900])


def test_the_budget_is_given_back_at_the_end():
    budget = SpoolBudget(10_000)
    filled(budget, 900).close()
    assert budget.left_bytes == 10_000


def test_the_file_is_sealed_at_its_stated_size():
    buffer = filled(SpoolBudget(10_000), 900)
    assert os.fstat(buffer._file).st_size == 1000
    with pytest.raises(PermissionError):
        os.ftruncate(buffer._file, 2000)
    with pytest.raises(PermissionError):
        fcntl.fcntl(buffer._file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)


def test_no_file_remains_open():
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        filled(SpoolBudget(10_000), 900).close()
    assert len(os.listdir("/proc/self/fd")) == before
