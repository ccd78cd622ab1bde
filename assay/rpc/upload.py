"""Receiving what a client streams: a config, then the pixels of a clip, then nothing or what the program says.

Every departure from that order is an InvalidRequest that names the part, and silence is an OverLimit.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from assay.checkpoint import ModelSpec
from assay.errors import InvalidRequest, OverLimit
from assay.frame import Clip
from assay.v1 import clip_pb2
from assay.wire import ClipAssembler

C = TypeVar("C")
"""The config message."""


class Upload(Generic[C]):
    """Reads messages that have a oneof `part` with at least `config` and `pixels`."""

    def __init__(self, requests: AsyncIterator[Any], idle_timeout_seconds: float) -> None:
        self._requests = requests
        self._idle_timeout_seconds = idle_timeout_seconds

    async def config(self) -> C:
        """The first message's config."""
        first = await self._next("config", self._idle_timeout_seconds)
        if first is None or first.WhichOneof("part") != "config":
            got = "nothing" if first is None else first.WhichOneof("part")
            raise InvalidRequest(f"the first message must be the config, got {got}", field="config")
        config: C = first.config
        return config

    async def clip(self, header: clip_pb2.ClipHeader, checkpoint: ModelSpec) -> Clip:
        """The clip, once its last byte is there. InvalidRequest before any pixel if the model does not take such."""
        refuse_unfit(header, checkpoint)
        assembler = ClipAssembler(header)
        while not assembler.is_complete:
            part = await self._next("pixels", self._idle_timeout_seconds)
            if part is None:
                break
            if part.WhichOneof("part") != "pixels":
                raise _out_of_order(part, "the pixels are not complete")
            assembler.feed(part.pixels)
        # The assembler says how many bytes are missing.
        return assembler.clip()

    async def part(self, name: str, timeout_seconds: float) -> Any:
        """The next message's part of that name; nothing else may come here."""
        part = await self._next(name, timeout_seconds)
        if part is None:
            raise InvalidRequest(f"the request ended without its {name}", field=name)
        if part.WhichOneof("part") != name:
            raise _out_of_order(part, f"expected {name}")
        return getattr(part, name)

    async def end(self) -> None:
        """Waits for the half-close. InvalidRequest if anything else comes."""
        part = await self._next("half-close", self._idle_timeout_seconds)
        if part is not None:
            raise _out_of_order(part, "the request was complete")

    async def _next(self, awaited: str, timeout_seconds: float) -> Any:
        """The next message, or None after the half-close."""
        try:
            async with asyncio.timeout(timeout_seconds):
                return await anext(self._requests, None)
        except TimeoutError:
            raise OverLimit(
                f"nothing came for {timeout_seconds:g} s, expected {awaited}; send it sooner, or start again"
            ) from None


def refuse_unfit(header: clip_pb2.ClipHeader, checkpoint: ModelSpec) -> None:
    """InvalidRequest if the frames are not of a size and number that the checkpoint takes."""
    pixels = checkpoint.pixels
    size = f"{header.width_px} x {header.height_px}"
    if header.width_px % pixels.factor_px or header.height_px % pixels.factor_px:
        raise InvalidRequest(
            f"frames of {size} are no multiples of {pixels.factor_px} px", field="config.clip.height_px"
        )
    most = pixels.video_max_pixels if header.is_video else pixels.max_pixels
    if header.width_px * header.height_px > most:
        raise InvalidRequest(f"frames of {size} px have more than {most} pixels", field="config.clip.height_px")
    frames = checkpoint.clip.max_frames if header.is_video else 1
    if len(header.pts_seconds) > frames:
        raise InvalidRequest(
            f"{len(header.pts_seconds)} frames are more than the {frames} that one clip may have",
            field="config.clip.pts_seconds",
        )


def _out_of_order(part: Message, why: str) -> InvalidRequest:
    name = part.WhichOneof("part") or "an empty message"
    return InvalidRequest(f"{name} came where it must not: {why}", field=name)
