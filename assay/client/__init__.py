"""The SDK: hands a file to an Assay server and receives its judgement while it is made.

async with AsyncClient("127.0.0.1:50051") as client:
    judgement = await client.score("photo.jpg")
    print(judgement.score.value)

with Client() as client:                      # the same without asyncio
    print(client.score("photo.jpg").score.value)
    print(client.score("https://media.example.com/clip.mp4").score.value)   # which the server gets itself
    for window in client.live(sys.stdin.buffer):                            # MPEG-TS, for as long as it comes
        print(window.window.score.value)
"""

from assay.client.calls import DEFAULT_SERVER, AsyncClient
from assay.client.connection import Credentials
from assay.client.exchange import NoServer, TookTooLong
from assay.client.judgement import (
    Judgement,
    Media,
    Model,
    Partial,
    Segment,
    Usage,
    VideoReport,
    Window,
    judgement_from_wire,
)
from assay.client.live import LiveSource, LiveWindow
from assay.client.sync import Client
from assay.client.upload import Source, is_uri
from assay.magic import is_picture
from assay.video import KeyFrames, Pooling, Sampling, VideoOptions

__all__ = [
    "DEFAULT_SERVER",
    "AsyncClient",
    "Client",
    "Credentials",
    "Judgement",
    "KeyFrames",
    "LiveSource",
    "LiveWindow",
    "Media",
    "Model",
    "NoServer",
    "Partial",
    "Pooling",
    "Sampling",
    "Segment",
    "Source",
    "TookTooLong",
    "Usage",
    "VideoOptions",
    "VideoReport",
    "Window",
    "is_picture",
    "is_uri",
    "judgement_from_wire",
]
