"""`python -m gateway.decode_worker FD`: decode one upload after another, told by the socket FD, until it closes."""

import contextlib
import ctypes
import gc
import math
import os
import resource
import signal
import socket
import sys
import time
import warnings

import av
from PIL import Image

from assay.errors import AssayError, BadMedia
from gateway import decode_wire as wire
from gateway.decode_spec import DecodeSpec
from gateway.decode_wire import Kind
from gateway.decode_worker.reader import Abandoned, Upload
from gateway.decode_worker.sniff import SNIFF_BYTES, sniff
from gateway.decode_worker.still import decode_still
from gateway.decode_worker.video import decode_video

_PR_SET_PDEATHSIG = 1
"""Linux: the signal that this process gets when the gateway dies, in case it is busy and does not see the socket."""
CANNOT_DECODE = "the file cannot be decoded; it is damaged or cut off, export it again"


class GatewayGone(Exception):
    """The socket was closed: there is nobody left to work for."""


class Connection:
    """The worker's end of the socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def receive(self) -> tuple[Kind, bytes]:
        kind, size = wire.HEADER.unpack(self._exactly(wire.HEADER.size))
        return Kind(kind), self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            count = self._sock.recv_into(view)
            if not count:
                raise GatewayGone
            view = view[count:]
        return bytes(data)

    def send(self, *parts: bytes | memoryview) -> None:
        for part in parts:
            self._sock.sendall(part)

    def next_chunk(self) -> bytes:
        """Ask for bytes and wait for them; b"" at the end of the file."""
        self.send(wire.pack(Kind.WANT))
        kind, body = self.receive()
        if kind is Kind.ABANDON:
            raise Abandoned
        return body if kind is Kind.CHUNK else b""


def lock_down() -> None:
    """Limits for the whole life of the process; what depends on the job is set by `limit_job`."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the gateway, which then closes the socket
    av.logging.set_level(None)
    warnings.simplefilter("ignore")  # Pillow warns about files; what matters comes as an error
    Image.init()  # its plug-ins would otherwise be imported when the first odd file comes
    gc.collect()
    gc.freeze()  # what is there now stays, so that the collection after each job is quick
    Image.MAX_IMAGE_PIXELS = None  # our own limit is checked before anything is decoded


def limit_job(spec: DecodeSpec) -> None:
    """The nets behind the budgets: processor time ends in SIGXCPU, address space in a failed allocation."""
    limits = spec.limits
    cpu = time.process_time() + limits.cpu_budget_seconds(limits.max_duration_seconds if spec.is_video else 0.0)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(cpu) + 1, resource.RLIM_INFINITY))
    space = memory_bytes(0) + limits.max_memory_bytes + spec.max_bytes
    resource.setrlimit(resource.RLIMIT_AS, (space, resource.RLIM_INFINITY))


def memory_bytes(column: int) -> int:
    """Of this process: 0 is its address space, 1 what is resident."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[column]) * resource.getpagesize()


def decode(spec: DecodeSpec, connection: Connection) -> None:
    """One job, told event by event."""
    upload = Upload(connection.next_chunk, spec.max_bytes)
    try:
        container = sniff(upload.peek(SNIFF_BYTES), spec.is_video)
        events = decode_video if spec.is_video else decode_still
        for event in events(upload, container, spec):
            connection.send(*wire.event_parts(event))
    finally:
        upload.free()


def run_job(body: bytes, connection: Connection) -> None:
    """Decode, and turn everything that can go wrong into one sentence for the client."""
    try:
        spec = wire.spec_from_body(body)
        limit_job(spec)
        decode(spec, connection)
    except (GatewayGone, Abandoned):
        raise
    except AssayError as problem:
        connection.send(wire.pack(Kind.ERROR, wire.error_body(problem, repr(problem.__cause__))))
    except Exception as problem:  # noqa: BLE001 - FFmpeg's errors come as MemoryError, IndexError, OSError, ...
        connection.send(wire.pack(Kind.ERROR, wire.error_body(BadMedia(CANNOT_DECODE), repr(problem))))


def main() -> None:
    lock_down()
    connection = Connection(socket.socket(fileno=int(sys.argv[1])))
    try:
        while True:
            gc.collect()
            connection.send(wire.pack(Kind.READY, memory_bytes(1).to_bytes(8, "big")))
            kind, body = connection.receive()
            if kind is Kind.JOB:
                with contextlib.suppress(Abandoned):
                    run_job(body, connection)
    except (GatewayGone, BrokenPipeError, ConnectionResetError):
        os._exit(0)


if __name__ == "__main__":
    main()
