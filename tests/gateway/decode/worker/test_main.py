"""How a worker tells of its frames, at the other end of its socket."""

import socket

import numpy as np
import pytest

from assay.frame import Frame
from gateway.decode import protocol
from gateway.decode.protocol import FRAMES_TOGETHER, Kind
from gateway.decode.slots import FrameSlots
from gateway.decode.worker import __main__ as worker

FRAME = Frame(np.zeros((2, 4, 3), np.uint8))


@pytest.fixture
def ends():
    """The worker's connection, and the gateway's socket."""
    slots = FrameSlots.create()
    slots.grow(600)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        connection = worker.Connection(theirs, slots)
        connection.begin(600)
        yield connection, ours
    slots.close()


def reported(ours):
    """Kinds of the messages that have arrived."""
    try:
        data = ours.recv(1 << 16)
    except BlockingIOError:
        return []
    kinds = []
    while data:
        kind, size = protocol.HEADER.unpack_from(data)
        kinds.append(Kind(kind))
        data = data[protocol.HEADER.size + size :]
    return kinds


def test_the_first_frame_is_announced_at_once(ends):
    connection, ours = ends
    connection.send_frame(FRAME)
    assert reported(ours) == [Kind.FRAME]


def test_frames_in_quick_succession_are_announced_together(ends, monkeypatch):
    monkeypatch.setattr(worker, "_DENSE_SECONDS", 60.0)  # on a machine of any speed
    connection, ours = ends
    connection.send_frame(FRAME)
    reported(ours)  # of the first, for which somebody waits
    arrived = []
    for _ in range(FRAMES_TOGETHER):
        connection.send_frame(FRAME)
        arrived.append(reported(ours))
    assert arrived == [*[[]] * (FRAMES_TOGETHER - 1), [Kind.FRAME] * FRAMES_TOGETHER]


def test_frames_far_apart_are_announced_one_by_one(ends, monkeypatch):
    monkeypatch.setattr(worker, "_DENSE_SECONDS", 0.0)
    connection, ours = ends
    connection.send_frame(FRAME)
    connection.send_frame(FRAME)
    assert reported(ours) == [Kind.FRAME, Kind.FRAME]


def test_a_worker_that_waits_for_bytes_has_announced_every_frame(ends, monkeypatch):
    monkeypatch.setattr(worker, "_DENSE_SECONDS", 60.0)
    connection, ours = ends
    connection.send_frame(FRAME)
    ours.send(protocol.pack(Kind.END))
    connection.next_chunk()
    assert reported(ours) == [Kind.FRAME, Kind.WANT]
