"""Spool: uploads that come slice by slice, over as many connections as it takes, in a directory of limited size."""

import asyncio
import hashlib
import os
import secrets
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from assay.errors import AssayError, Busy, InvalidRequest, OverLimit, UploadStalled

_READ_BYTES = 1 << 20


class UploadNotFound(AssayError):
    """No upload has that id: it never had, it has expired, or it is another tenant's."""

    grpc_status = "NOT_FOUND"
    reason = "UPLOAD_NOT_FOUND"


class UploadConflict(AssayError):
    """A slice does not begin where the upload ends, or its bytes are not those of its checksum."""

    grpc_status = "ABORTED"
    reason = "UPLOAD_CONFLICT"


class SpoolFull(AssayError):
    """The directory for uploads is full."""

    grpc_status = "RESOURCE_EXHAUSTED"
    reason = "SPOOL_FULL"


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """How much is taken, and for how long."""

    max_bytes: int
    """All uploads together."""
    max_upload_bytes: int
    max_uploads: int
    idle_seconds: float
    """An upload that got no byte for so long ends."""
    life_seconds: float
    """So long after its last byte or its last use an upload is forgotten."""


class Spool:
    """Uploads by id. Their files have no name: nothing of them outlives the process."""

    def __init__(self, directory: Path | None, limits: SpoolLimits) -> None:
        """`directory` is the system's for temporary files if None."""
        self._directory, self.limits = directory, limits
        self._uploads: dict[str, SpooledUpload] = {}
        self.held_bytes = 0

    def create(self, size_bytes: int | None, tenant: str = "") -> "SpooledUpload":
        """A new upload. OverLimit where it is known to be too large, Busy, SpoolFull."""
        self._forget_expired()
        most = self.limits.max_upload_bytes
        if size_bytes is not None and size_bytes > most:
            raise OverLimit(f"the file has {size_bytes} bytes, and at most {most} are taken", field="size_bytes")
        if size_bytes is not None and size_bytes <= 0:
            raise InvalidRequest("the file is empty", field="size_bytes")
        if len(self._uploads) >= self.limits.max_uploads:
            raise Busy(f"the server is at its limit of {self.limits.max_uploads} uploads; try again in a moment")
        self.reserve(size_bytes or 0, 0)
        file = tempfile.TemporaryFile(dir=self._directory, prefix="assay-upload-")  # noqa: SIM115 - the upload closes it
        upload = SpooledUpload(secrets.token_urlsafe(18), tenant, size_bytes, self, file.fileno(), file)
        self._uploads[upload.upload_id] = upload
        return upload

    def get(self, upload_id: str, tenant: str = "") -> "SpooledUpload":
        """UploadNotFound, the same for what never was, has expired, or is another tenant's."""
        self._forget_expired()
        upload = self._uploads.get(upload_id)
        if upload is None or upload.tenant != tenant:
            raise UploadNotFound("there is no such upload: it has expired or never was; begin a new one")
        upload.used_at = time.monotonic()
        return upload

    def forget(self, upload: "SpooledUpload") -> None:
        """Ends an upload and gives its room back."""
        if self._uploads.pop(upload.upload_id, None) is not None:
            upload.close()

    def reserve(self, num_bytes: int, reserved_bytes: int) -> int:
        """Room for so many bytes where some are reserved already; returns what is reserved. SpoolFull."""
        more = max(num_bytes - reserved_bytes, 0)
        if self.held_bytes + more > self.limits.max_bytes:
            raise SpoolFull("the server has no room for this upload now; try again later")
        self.held_bytes += more
        return reserved_bytes + more

    def close(self) -> None:
        """Ends all uploads."""
        for upload in list(self._uploads.values()):
            self.forget(upload)

    def _forget_expired(self) -> None:
        deadline = time.monotonic() - self.limits.life_seconds
        for upload in [each for each in self._uploads.values() if each.used_at < deadline and not each.readers]:
            self.forget(upload)


@dataclass(slots=True, eq=False)
class SpooledUpload:
    """A file in the making: written at its end, read from its start by as many as like."""

    upload_id: str
    tenant: str
    size_bytes: int | None
    """As announced; None where it was not."""
    spool: Spool
    fd: int
    owner: object
    """Holds the file open."""
    received_bytes: int = 0
    """Bytes that stand and can be read."""
    is_complete: bool = False
    readers: int = 0
    used_at: float = field(default_factory=time.monotonic)
    _reserved_bytes: int = 0
    _is_closed: bool = False
    _is_writing: bool = False
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def __post_init__(self) -> None:
        self._reserved_bytes = self.size_bytes or 0

    async def write(self, offset: int, chunks: AsyncIterator[bytes], sha256: bytes | None = None) -> None:
        """Appends a slice. With a checksum it counts once all of it has come and agrees; without one every piece that
        has come stands, even if the connection breaks. UploadConflict, OverLimit, SpoolFull."""
        if self._is_writing:
            raise UploadConflict("another slice of this upload is being sent; wait for its end")
        if self.is_complete or offset != self.received_bytes:
            raise UploadConflict(f"the upload has {self.received_bytes} bytes; go on from there", field="offset")
        self._is_writing = True
        try:
            await self._append(chunks, sha256)
        finally:
            self._is_writing = False

    async def _append(self, chunks: AsyncIterator[bytes], sha256: bytes | None) -> None:
        end, digest = self.received_bytes, hashlib.sha256()
        async for chunk in chunks:
            self._make_room(end + len(chunk))
            os.pwrite(self.fd, chunk, end)
            end += len(chunk)
            if sha256 is None:
                await self._stands(end)
            else:
                digest.update(chunk)
        if sha256 is not None and digest.digest() != sha256:
            raise UploadConflict("the slice's bytes are not those of its checksum; send it again", field="repr-digest")
        await self._stands(end)

    async def finish(self) -> None:
        """No byte follows. UploadConflict if fewer came than were announced."""
        if self.size_bytes is not None and self.received_bytes != self.size_bytes:
            raise UploadConflict(
                f"{self.received_bytes} of {self.size_bytes} bytes have come; send the rest first", field="size_bytes"
            )
        if not self.received_bytes:
            raise InvalidRequest("the upload is empty; send the file before it is finished")
        async with self._changed:
            self.is_complete = True
            self._changed.notify_all()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The file from its start, as it comes. UploadStalled if nothing comes for long."""
        at = 0
        self.readers += 1
        try:
            while True:
                while at < self.received_bytes:
                    chunk = os.pread(self.fd, min(_READ_BYTES, self.received_bytes - at), at)
                    at += len(chunk)
                    yield chunk
                if self.is_complete:
                    return
                await self._more_than(at)
        finally:
            self.readers -= 1
            self.used_at = time.monotonic()

    def close(self) -> None:
        """Gives the room back; a reader learns that the upload has ended."""
        if not self._is_closed:
            self._is_closed = True
            self.spool.held_bytes -= max(self._reserved_bytes, self.received_bytes)
            self.owner.close()  # type: ignore[attr-defined]

    def _make_room(self, end: int) -> None:
        limits = self.spool.limits
        if end > (self.size_bytes or limits.max_upload_bytes):
            most = self.size_bytes or limits.max_upload_bytes
            raise OverLimit(f"the upload has more than {most} bytes; announce its size, or send a smaller file")
        self._reserved_bytes = self.spool.reserve(end, self._reserved_bytes)

    async def _stands(self, end: int) -> None:
        self.used_at = time.monotonic()
        async with self._changed:
            self.received_bytes = end
            self._changed.notify_all()
        if end == self.size_bytes:
            await self.finish()

    async def _more_than(self, at: int) -> None:
        try:
            async with asyncio.timeout(self.spool.limits.idle_seconds), self._changed:
                await self._changed.wait_for(lambda: self.received_bytes > at or self.is_complete or self._is_closed)
        except TimeoutError:
            raise UploadStalled(
                f"no byte of the upload came for {self.spool.limits.idle_seconds:g} s; go on with it and score it again"
            ) from None
        if self._is_closed:
            raise UploadNotFound("the upload has ended; begin a new one")
