"""`python -m gateway.decode.worker SOCKET SLOTS`: decode one upload after another until the socket closes.

Both are descriptors: the socket to the gateway, and the memory through which frames go to it."""

import codecs
import contextlib
import gc
import importlib
import math
import os
import pkgutil
import resource
import signal
import socket
import sys
import time
import warnings
from collections.abc import Iterator

import av
from PIL import Image

from assay.errors import AssayError, BadMedia, OverLimit
from assay.frame import Frame
from gateway.decode import protocol
from gateway.decode.protocol import Kind
from gateway.decode.slots import SLOTS, FrameSlots
from gateway.decode.spec import DecodeSource, DecodeSpec, DecodeSummary, Lost, MediaInfo, StillPhoto
from gateway.decode.worker.budget import grant_cpu
from gateway.decode.worker.live import decode_frames, decode_stream
from gateway.decode.worker.reader import Abandoned, UploadReader
from gateway.decode.worker.sandbox import lock_up, outcomes
from gateway.decode.worker.sniff import sniff
from gateway.decode.worker.still import decode_still
from gateway.decode.worker.video import decode_video

_DENSE_SECONDS = 0.03
"""A frame that follows another sooner may wait to be announced with the next ones, which will hardly take longer."""
CANNOT_DECODE = "the file cannot be decoded; it is damaged or cut off, export it again"


class GatewayGone(Exception):
    """The socket was closed: there is nobody left to work for."""


class Connection:
    """The worker's end of the socket and of the slots for frames."""

    def __init__(self, sock: socket.socket, slots: FrameSlots) -> None:
        self._sock = sock
        self._slots = slots
        self._frames = 0
        self._taken = 0
        self._frame_time = -math.inf
        self._unsent: list[bytes] = []
        self._is_abandoned = False

    def begin(self, slot_bytes: int) -> None:
        """A new job: every slot is free."""
        self._slots.map(slot_bytes)
        self._frames = self._taken = 0
        self._frame_time = -math.inf
        self._is_abandoned = False

    def receive(self) -> tuple[Kind, bytes]:
        """Wait for the gateway, once everything was sent."""
        if self._unsent:
            self.send()
        return self._read()

    def _read(self) -> tuple[Kind, bytes]:
        kind, size = protocol.HEADER.unpack(self._exactly(protocol.HEADER.size))
        return Kind(kind), self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        # One call and no copy; no signal has a handler here, so fewer bytes can only mean the end.
        data = self._sock.recv(size, socket.MSG_WAITALL) if size else b""
        if len(data) < size:
            raise GatewayGone
        return data

    def send(self, message: bytes = b"") -> None:
        """After everything that was not sent yet."""
        self._sock.sendall(b"".join((*self._unsent, message)))
        self._unsent.clear()

    def send_frame(self, frame: Frame, kind: Kind = Kind.FRAME) -> None:
        """Through a slot; waits until one is free. What comes in quick succession is announced together."""
        while self._frames - self._taken >= SLOTS:
            self._answer()
        slot = self._frames % SLOTS
        self._slots.put(slot, frame.pixels)
        self._frames += 1
        self._unsent.append(protocol.frame_message(frame, slot, kind))
        before, self._frame_time = self._frame_time, time.monotonic()
        if len(self._unsent) == protocol.FRAMES_TOGETHER or self._frame_time - before > _DENSE_SECONDS:
            self.send()

    def _answer(self) -> tuple[Kind, bytes]:
        return self._heeded(*self.receive())

    def _heeded(self, kind: Kind, body: bytes) -> tuple[Kind, bytes]:
        if kind is Kind.ABANDON:
            self._is_abandoned = True
            raise Abandoned
        self._taken += protocol.FRAMES_TOGETHER if kind is Kind.TAKEN else 0
        return kind, body

    def obey(self) -> None:
        """Between two packets: raises `Abandoned` if the gateway has said meanwhile that nobody wants the job."""
        while self._has_message():
            self._heeded(*self._read())

    def _has_message(self) -> bool:
        try:
            head = self._sock.recv(protocol.HEADER.size, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            return len(head) == protocol.HEADER.size
        except BlockingIOError:
            return False

    def next_chunk(self) -> bytes:
        """Ask for bytes and wait for them; b"" at the end of the file."""
        if self._is_abandoned:  # FFmpeg tries again after an error, and nobody would answer
            raise Abandoned
        self.send(protocol.pack(Kind.WANT))
        kind, body = self._answer()
        while kind is Kind.TAKEN:
            kind, body = self._answer()
        return body if kind is Kind.CHUNK else b""


def prepare() -> None:
    """Once, as long as files can still be opened."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the gateway, which then closes the socket
    av.logging.set_level(None)
    warnings.simplefilter("ignore")  # Pillow warns about files; what matters comes as an error
    Image.init()  # its plug-ins would otherwise be imported when the first odd file comes
    Image.MAX_IMAGE_PIXELS = None  # our own limit is checked before anything is decoded
    for package in ("audio", "codec", "container", "sidedata", "subtitles", "video"):
        # PyAV imports the classes of a stream when the first of its kind comes.
        for module in pkgutil.walk_packages([f"{av.__path__[0]}/{package}"], f"av.{package}."):
            importlib.import_module(module.name)
    for name in ("ascii", "latin-1", "utf-8", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "idna"):
        codecs.lookup(name)  # each is a module, and texts inside pictures are in any of them
    gc.collect()
    gc.freeze()  # what is there now stays, so that the collection after each job is quick


class ProcessMemory:
    """How much this process has; opened once, as nothing can be opened later."""

    def __init__(self) -> None:
        self._statm = os.open("/proc/self/statm", os.O_RDONLY)

    def address_space_bytes(self) -> int:
        return self._pages(0) * resource.getpagesize()

    def resident_bytes(self) -> int:
        return self._pages(1) * resource.getpagesize()

    def _pages(self, column: int) -> int:
        return int(os.pread(self._statm, 200, 0).split()[column])


def limit_job(spec: DecodeSpec, memory: ProcessMemory) -> None:
    """The nets behind the budgets: processor time ends in SIGXCPU, address space in a failed allocation."""
    limits = spec.limits
    grant_cpu(limits.cpu_budget_seconds(spec.granted_media_seconds))
    space = memory.address_space_bytes() + limits.max_memory_bytes + spec.spool_bytes
    resource.setrlimit(resource.RLIMIT_AS, (space, resource.RLIM_INFINITY))


def decode(spec: DecodeSpec, connection: Connection) -> None:
    """One job, sent event by event."""
    upload = UploadReader(connection.next_chunk, spec.max_bytes, connection.obey)
    try:
        for event in _events(upload, spec):
            if isinstance(event, Frame):
                connection.send_frame(event)
            elif isinstance(event, StillPhoto):
                connection.send_frame(event.frame, Kind.PHOTO)
            else:
                connection.send(protocol.event_message(event))
    finally:
        upload.free()


def _events(upload: UploadReader, spec: DecodeSpec) -> Iterator[MediaInfo | Frame | StillPhoto | Lost | DecodeSummary]:
    if spec.source is DecodeSource.FRAMES:
        return decode_frames(upload, spec)
    container = sniff(upload.peek, spec.is_video)
    if spec.source is DecodeSource.STREAM:
        return decode_stream(upload, container, spec)
    return (decode_video if spec.is_video else decode_still)(upload, container, spec)


def run_job(body: bytes, connection: Connection, memory: ProcessMemory) -> None:
    """Decode, and turn everything that can go wrong into one sentence for the client."""
    spec, slot_bytes = protocol.job_from_body(body)
    connection.begin(slot_bytes)
    try:
        limit_job(spec, memory)
        decode(spec, connection)
    except (GatewayGone, Abandoned):
        raise
    except AssayError as problem:
        connection.send(protocol.pack(Kind.ERROR, protocol.error_body(problem, repr(problem.__cause__))))
    except MemoryError as problem:
        granted = spec.limits.max_memory_bytes
        refused = OverLimit(f"decoding needs more than the {granted >> 20} MiB of memory granted; send a smaller file")
        connection.send(protocol.pack(Kind.ERROR, protocol.error_body(refused, repr(problem))))
    except Exception as problem:  # noqa: BLE001 - FFmpeg's errors come as IndexError, OSError, UnicodeError, ...
        connection.send(protocol.pack(Kind.ERROR, protocol.error_body(BadMedia(CANNOT_DECODE), repr(problem))))


def main() -> None:
    sock, slots = (int(argument) for argument in sys.argv[1:])
    connection = Connection(socket.socket(fileno=sock), FrameSlots(slots))
    memory = ProcessMemory()
    prepare()
    connection.send(protocol.pack(Kind.LOCKED, bytes([lock_up()])))
    try:
        while True:
            gc.collect()
            connection.send(
                protocol.pack(Kind.READY, protocol.ready_body(memory.resident_bytes(), time.process_time()))
            )
            serve(connection, memory)
    except (GatewayGone, BrokenPipeError, ConnectionResetError):
        os._exit(0)


def serve(connection: Connection, memory: ProcessMemory) -> None:
    """The next thing that the gateway asks for, to its end."""
    kind, body = connection.receive()
    while kind in (Kind.TAKEN, Kind.ABANDON):  # the end of the job before
        kind, body = connection.receive()
    if kind is Kind.ESCAPE:
        connection.send(protocol.pack(Kind.ESCAPED, protocol.escapes_body(outcomes())))
    elif kind is Kind.JOB:
        with contextlib.suppress(Abandoned):
            run_job(body, connection, memory)


if __name__ == "__main__":
    main()
